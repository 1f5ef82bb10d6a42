"""Weights of pixels, in the loss and in selection."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tim import LPIPS
from keras_tim.imle.distances import SelectionDistance
from keras_tim.models.codes import draw_codes

SEEDS = np.array([3, 1, 4], "int64")


@keras.saving.register_keras_serializable(package="test_spatial_weights")
class WeightedSquares(keras.layers.Layer):
    """Mean square, its pixels weighted."""

    def build(self, *shapes):
        pass

    def features(self, pictures):
        return [pictures]

    def layer_weights(self, weights, features):
        return [weights]

    def compare(self, a, b, weights=None):
        squares = tf.reduce_mean((a[0] - b[0]) ** 2, axis=-1)
        if weights is None:
            return tf.reduce_mean(squares, axis=(-2, -1))
        total = tf.reduce_sum(weights[0] * squares, axis=(-2, -1))
        return tf.math.divide_no_nan(
            total, tf.reduce_sum(weights[0], axis=(-2, -1))
        )


def masks_for(targets, seed=0):
    """A random mask per image, with some zeros, of the finest size."""
    rng = np.random.default_rng(seed)
    mask = rng.random(targets.shape[:3], dtype="float32")
    return np.where(mask < 0.3, 0.0, 4.0 * mask**3).astype("float32")


def block_mean(mask, factor):
    batch, height, width = mask.shape
    blocks = mask.reshape(
        batch, height // factor, factor, width // factor, factor
    )
    return blocks.mean(axis=(2, 4))


def weighted_squares(picture, target, mask):
    """The same in NumPy, of single images."""
    squares = ((np.asarray(picture) - target) ** 2).mean(axis=-1)
    return (mask * squares).sum() / mask.sum()


def weighted_absolute(picture, target, mask):
    differences = np.abs(np.asarray(picture) - target).mean(axis=-1)
    return (mask * differences).sum() / mask.sum()


def brute_force(tim, inputs, targets, masks, distance, num_samples):
    """Tries every candidate of every image by itself, level by level."""
    winners = np.zeros((len(num_samples), len(SEEDS)), int)
    distances = np.zeros(winners.shape)
    for i, seed in enumerate(SEEDS):
        image = [inputs[i : i + 1]]
        output, feature = None, None
        for level, count in enumerate(num_samples):
            level_input = tim.level_input(level, image, output)
            tried = []
            for j in range(count):
                code = draw_codes(
                    tf.constant([seed], tf.int64),
                    tf.constant([[j]], tf.int64),
                    tim.noise_sizes(image),
                    tim.style_dim,
                    tim.noise_channels,
                )[level]
                made = tim.run_level(level, level_input, feature, code)
                picture = tim.to_picture(made[0], level_input)[0]
                tried.append(
                    distance(picture, targets[level][i], masks[level][i])
                )
                if tried[-1] == min(tried):
                    best, kept = j, made
            winners[level, i], distances[level, i] = best, min(tried)
            output, feature = kept
    return winners, distances


def select(tim, inputs, targets, mask, **compiled):
    tim.compile(optimizer="sgd", **compiled)
    tim._imle.distance.build(channels=3)
    prepared = tim._imle._prepare(
        tim, [tf.constant(inputs)], targets, tf.constant(mask)
    )

    @tf.function(autograph=False)
    def run(inputs, targets, masks):
        return tim._imle.select(
            tim, inputs, targets, tf.constant(SEEDS), masks
        )[0]

    inputs, targets, _, masks = prepared
    return run(inputs, targets, masks)


@pytest.fixture(scope="module")
def case(make_tim, make_pairs):
    # Blocks change nothing in what is chosen.
    tim = make_tim(quick=True)
    inputs, targets = make_pairs(tim, pyramid=True)
    mask = masks_for(targets[-1])
    masks = [block_mean(mask, 2), mask]
    return tim, inputs, targets, masks


@pytest.fixture(scope="module")
def expected(case):
    """Winners by brute force, and their distances."""
    return brute_force(*case, weighted_squares, [6, 4])


@pytest.mark.parametrize("chunk", [1, 4, 13, 100])
def test_selection_is_that_of_brute_force(case, expected, chunk):
    tim, inputs, targets, masks = case
    winners, distances = expected
    found = select(
        tim,
        inputs,
        targets,
        masks[-1],
        distance=WeightedSquares(),
        num_samples=[6, 4],
        candidate_chunk=chunk,
    )
    np.testing.assert_array_equal(found.indices, winners)
    np.testing.assert_allclose(found.distances, distances, atol=1e-5)


def test_weights_change_what_is_chosen(case, expected):
    tim, inputs, targets, masks = case
    plain = select(
        tim,
        inputs,
        targets,
        np.ones_like(masks[-1]),
        distance=WeightedSquares(),
        num_samples=[6, 4],
    )
    assert (np.array(plain.indices) != expected[0]).any()


def test_the_pixel_term_is_weighted_in_selection(case):
    tim, inputs, targets, masks = case

    def distance(*of):
        return weighted_squares(*of) + 3.0 * weighted_absolute(*of)

    winners, distances = brute_force(
        tim, inputs, targets, masks, distance, [5, 3]
    )
    found = select(
        tim,
        inputs,
        targets,
        # A last axis of 1 is welcome, too.
        masks[-1][..., None],
        distance=WeightedSquares(),
        pixel_weight=3.0,
        num_samples=[5, 3],
        candidate_chunk=4,
    )
    np.testing.assert_array_equal(found.indices, winners)
    np.testing.assert_allclose(found.distances, distances, atol=1e-5)


def test_lpips_is_weighted_in_selection(case, lpips_weights):
    tim, inputs, targets, masks = case
    lpips = LPIPS("alex")

    def distance(picture, target, mask):
        made, wanted = (lpips.features(x[None]) for x in (picture, target))
        weights = lpips.layer_weights(mask[None], wanted)
        return float(lpips.compare(made, wanted, weights)[0])

    winners, distances = brute_force(
        tim, inputs, targets, masks, distance, [3, 2]
    )
    found = select(
        tim,
        inputs,
        targets,
        masks[-1],
        distance=lpips,
        num_samples=[3, 2],
        candidate_chunk=6,
    )
    np.testing.assert_array_equal(found.indices, winners)
    np.testing.assert_allclose(found.distances, distances, atol=1e-5)


def test_vanilla_selection_takes_every_levels_mask(case):
    tim, inputs, targets, masks = case
    found = select(
        tim,
        inputs,
        targets,
        masks[-1],
        distance=WeightedSquares(),
        sampling="vanilla",
        num_samples=5,
        candidate_chunk=3,
    )
    pictures = tim.decode([inputs], found.codes)
    expected = [
        [weighted_squares(*of) for of in zip(*level, strict=True)]
        for level in zip(pictures, targets, masks, strict=True)
    ]
    np.testing.assert_allclose(found.distances, expected, atol=1e-5)


# Loss.


@pytest.fixture(scope="module")
def compiled(make_tim):
    def make(**kwargs):
        tim = make_tim(quick=True)
        arguments = {
            "optimizer": keras.optimizers.SGD(0.1),
            "distance": WeightedSquares(),
            "num_samples": 3,
        }
        tim.compile(**{**arguments, **kwargs})
        return tim

    return make


def evaluate(tim, inputs, targets, mask):
    return tim.evaluate(
        inputs, targets, sample_weight=mask, verbose=0, return_dict=True
    )


def test_the_loss_is_the_weighted_mean(compiled, make_pairs):
    tim = compiled(pixel_weight=0.5, run_eagerly=True)
    inputs, targets = make_pairs(tim, pyramid=True)
    mask = masks_for(targets[-1])
    kept = {}
    select = tim._imle.select

    def noted(*arguments):
        selection, features = select(*arguments)
        kept["codes"] = selection.codes
        return selection, features

    tim._imle.select = noted
    data = tf.data.Dataset.from_tensors((inputs, targets, mask))
    found = evaluate(tim, data, None, None)
    pictures = tim.decode([inputs], kept["codes"])
    for level, weights in enumerate([block_mean(mask, 2), mask]):
        expected = np.mean(
            [
                weighted_squares(*of) + 0.5 * weighted_absolute(*of)
                for of in zip(
                    pictures[level], targets[level], weights, strict=True
                )
            ]
        )
        assert found[f"loss_level{level}"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("pixel_weight", [0.0, 0.5])
def test_a_constant_mask_changes_nothing(compiled, make_pairs, pixel_weight):
    weights = []
    for constant in (None, 0.2, 7.0):
        tim = compiled(
            pixel_weight=pixel_weight,
            images_per_selection=2,
            steps_per_selection=2,
            mini_batch_size=1,
            run_eagerly=True,
        )
        inputs, targets = make_pairs(tim)
        mask = None
        if constant is not None:
            mask = np.full(targets.shape[:3], constant, "float32")
        tim.fit(
            inputs,
            targets,
            sample_weight=mask,
            batch_size=3,
            shuffle=False,
            verbose=0,
        )
        weights.append(tim.get_weights())
    for other in weights[1:]:
        for a, b in zip(weights[0], other, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)


def test_images_of_no_weight_do_not_count(compiled, make_pairs):
    tim = compiled(run_eagerly=True)
    inputs, targets = make_pairs(tim)
    mask = masks_for(targets)
    alone = [
        evaluate(
            tim,
            inputs,
            targets,
            mask * np.eye(3, dtype="float32")[i, :, None, None],
        )["loss"]
        for i in range(3)
    ]
    whole = evaluate(tim, inputs, targets, mask)["loss"]
    # Every image counts the same, however large its weights are.
    assert whole == pytest.approx(np.mean(alone), rel=1e-5)
    assert evaluate(tim, inputs, targets, 0.0 * mask)["loss"] == 0.0


def test_unknown_sizes_train_as_known_ones(compiled, make_pairs):
    results = []
    for unknown in (False, True):
        tim = compiled(
            images_per_selection=2, candidate_chunk=2, run_eagerly=not unknown
        )
        inputs, targets = make_pairs(tim)
        mask = masks_for(targets)
        data = tf.data.Dataset.from_tensors((inputs, targets, mask))
        if unknown:
            pictures = tf.TensorSpec([None, None, None, 3])
            data = tf.data.Dataset.from_generator(
                lambda data=data: iter(data),
                output_signature=(
                    pictures,
                    pictures,
                    tf.TensorSpec([None, None, None]),
                ),
            ).apply(tf.data.experimental.assert_cardinality(1))
        tim.fit(data, shuffle=False, verbose=0)
        results.append(tim.get_weights())
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


# What can be wrong.


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda m: m[:, ::2], r"\[batch, height, width\].*12 x 20.*\(3, 6, 20"),
        (lambda m: m[:, 0], r"`sample_weight` must have shape.*\(3, 20\)"),
        (lambda m: np.stack([m, m], -1), r"\(3, 12, 20, 2\)"),
        (lambda m: -m, "`sample_weight` must be finite and not negative"),
        (lambda m: m * np.nan, "`sample_weight` must be finite"),
        (lambda m: m + np.inf, "`sample_weight` must be finite"),
    ],
)
def test_refuses_masks(compiled, make_pairs, spoil, message):
    tim = compiled(run_eagerly=True)
    inputs, targets = make_pairs(tim)
    mask = spoil(np.ones(targets.shape[:3], "float32"))
    with pytest.raises(
        (ValueError, tf.errors.InvalidArgumentError), match=message
    ):
        evaluate(tim, inputs, targets, mask)


def test_refuses_a_mask_per_level(compiled, make_pairs):
    tim = compiled(run_eagerly=True)
    inputs, targets = make_pairs(tim, pyramid=True)
    masks = tuple(np.ones(x.shape[:3], "float32") for x in targets)
    with pytest.raises(ValueError, match=r"must be one tensor.*2 tensors"):
        evaluate(tim, inputs, targets, masks)


def test_refuses_masks_where_the_distance_cannot_weigh(mean_square_distance):
    distance = SelectionDistance(mean_square_distance)
    pictures = np.zeros((1, 4, 4, 3), "float32")
    with pytest.raises(ValueError, match=r"`layer_weights`.*mean_square"):
        distance.features(pictures, np.ones((1, 4, 4), "float32"))
