import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_tim import LPIPS
from keras_tim.imle.distances import SelectionDistance

SEEDS = np.array([5, 2], "int64")
COUNTS = [4, 3]
CELL = 2


class SquaredCells:
    """A distance that can be taken cell by cell."""

    def features(self, pictures):
        return [pictures]

    def compare(self, a, b):
        return tf.reduce_mean((a[0] - b[0]) ** 2, axis=(-3, -2, -1))

    def cell_distances(self, a, b, rows, columns):
        squared = tf.reduce_mean((a[0] - b[0]) ** 2, axis=-1)
        batch, height, width = squared.shape
        return tf.reduce_mean(
            tf.reshape(
                squared,
                (batch, rows, height // rows, columns, width // columns),
            ),
            axis=(2, 4),
        )

    def __call__(self, a, b):
        return self.compare([a], [b])


@pytest.fixture(scope="module")
def case(make_tim):
    tim = make_tim(style_cell=CELL, normalization="none", noise_channels=1)
    for weight in tim.trainable_variables:
        if "modulation" in weight.path:
            rng = np.random.default_rng(len(weight.path))
            weight.assign(rng.normal(0.0, 0.5, weight.shape))
    rng = np.random.default_rng(0)
    inputs = rng.random((2, 4, 6, 3), dtype="float32")
    targets = [
        rng.random((2, 4 * f, 6 * f, 3), dtype="float32") for f in (2, 4)
    ]
    return tim, inputs, targets


def candidate(tim, image, seed, index, level):
    return tim.draw_codes(image, num_samples=index + 1, seed=seed)[level][0][
        index
    ], tim.draw_codes(image, num_samples=index + 1, seed=seed)[level][1][index]


def chosen_by_hand(tim, image, targets, seed):
    """Tries every candidate alone and puts the winners' cells together."""
    codes, places = [], []
    output, feature = None, None
    for level, count in enumerate(COUNTS):
        level_input = tim.level_input(level, [image], output)
        tried = []
        drawn = [candidate(tim, image, seed, j, level) for j in range(count)]
        side = CELL * 2**level
        rows, columns = tim.style_sizes(image)[level]
        for style, noise in drawn:
            made, _ = tim.run_level(
                level, level_input, feature, (style[None], noise[None])
            )
            picture = np.clip(made, 0.0, 1.0)
            squared = ((picture - targets[level]) ** 2).mean(axis=-1)[0]
            cell = squared.shape[0] // rows
            tried.append(
                squared.reshape(rows, cell, columns, cell).mean(axis=(1, 3))
            )
        place = np.argmin(tried, axis=0)
        style, noise = (np.array(part) for part in drawn[0])
        for row, column in itertools.product(range(rows), range(columns)):
            won = drawn[place[row, column]]
            style[row, column] = won[0][row, column]
            square = (
                slice(row * side, (row + 1) * side),
                slice(column * side, (column + 1) * side),
            )
            noise[square] = np.asarray(won[1])[square]
        codes.append((style, noise))
        places.append(place)
        output, feature = tim.run_level(
            level, level_input, feature, (style[None], noise[None])
        )
    return codes, places


@pytest.mark.parametrize("chunk", [1, 3, 8])
def test_every_cell_gets_its_nearest_candidate(case, chunk):
    tim, inputs, targets = case
    tim.compile(
        optimizer="sgd",
        distance=SquaredCells(),
        num_samples=COUNTS,
        candidate_chunk=chunk,
    )
    selection, _ = tf.function(tim._imle.select, autograph=False)(
        tim,
        [tf.constant(inputs)],
        [tf.constant(x) for x in targets],
        tf.constant(SEEDS),
    )
    for i, seed in enumerate(SEEDS):
        codes, places = chosen_by_hand(
            tim, inputs[i : i + 1], [x[i : i + 1] for x in targets], int(seed)
        )
        for level in range(2):
            np.testing.assert_array_equal(
                selection.indices[level][i], places[level]
            )
            for got, expected in zip(
                selection.codes[level], codes[level], strict=True
            ):
                np.testing.assert_array_equal(got[i], expected)
    # More than one candidate wins somewhere.
    assert len(np.unique(selection.indices[0])) > 1


def test_training_with_maps_of_styles_lowers_the_loss(case):
    tim, inputs, targets = case
    tim.compile(optimizer="adam", distance=SquaredCells(), num_samples=2)
    history = tim.fit(
        inputs, targets[-1], batch_size=2, epochs=8, verbose=0
    ).history
    assert history["loss"][-1] < history["loss"][0]


def test_distances_without_cells_are_refused(case):
    tim, inputs, targets = case
    tim.compile(
        optimizer="sgd",
        distance=lambda a, b: tf.reduce_mean((a - b) ** 2, axis=(1, 2, 3)),
        num_samples=2,
    )
    with pytest.raises(ValueError, match="cell_distances"):
        tim.fit(inputs, targets[-1], verbose=0)


@pytest.mark.parametrize(
    "distance",
    [
        "lpips_alex",
        {"lpips_alex": 1.0, "lpips_vgg": 0.5},
        "mean_squared_error",
        "mean_absolute_error",
    ],
)
def test_cells_of_lpips_average_to_the_distance(lpips_weights, distance):
    measured = SelectionDistance(distance, pixel_weight=0.5)
    measured.build(channels=3)
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 2, 64, 64, 3), dtype="float32")
    a, b = measured.features(a), measured.features(b)
    np.testing.assert_allclose(
        tf.reduce_mean(measured.cell_distances(a, b, 4, 2), axis=(1, 2)),
        measured.compare(a, b),
        rtol=1e-4,
    )


def test_mixed_distance_is_the_weighted_sum(lpips_weights):
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 2, 64, 64, 3), dtype="float32")
    parts = {"lpips_alex": 0.25, "lpips_vgg": 2.0}
    mixed = SelectionDistance(parts).distance
    expected = 0.25 * LPIPS("alex")(a, b) + 2.0 * LPIPS("vgg")(a, b)
    np.testing.assert_allclose(mixed(a, b), expected, rtol=1e-5)
    again = type(mixed).from_config(mixed.get_config())
    np.testing.assert_allclose(again(a, b), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({}, "must be a dict"),
        ({"lpips_squeeze": 1.0}, "lpips_squeeze"),
        ({"lpips_vgg": 0.0}, "positive"),
    ],
)
def test_mixed_distance_refuses(parts, message):
    with pytest.raises(ValueError, match=message):
        SelectionDistance(parts)
