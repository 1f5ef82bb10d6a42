import math
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

# A second level takes as long to trace again.
SINGLE = {"residual_channels": (8,), "growth_channels": (4,)}


@pytest.fixture(scope="module")
def compiled(make_tim, mean_square_distance):
    """Callable that makes a quick model and compiles it."""

    def make(quick=True, model=None, **kwargs):
        tim = make_tim(quick=quick, **(model or {}))
        arguments = {
            "optimizer": keras.optimizers.SGD(0.1),
            "distance": mean_square_distance,
            "num_samples": 3,
        }
        tim.compile(**{**arguments, **kwargs})
        return tim

    return make


def fit(tim, *data, **kwargs):
    history = tim.fit(*data, verbose=0, **{"shuffle": False, **kwargs})
    return history.history


def close(a, b, tolerance=1e-6):
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x, y, atol=tolerance, rtol=1e-5)


# Algorithm 1.


class Recorder:
    """Notes what every gradient step was given."""

    def __init__(self, tim, monkeypatch):
        self.steps = []
        self.selections = 0
        step, select = tim._imle._gradient_step, tim._imle.select

        def noted(model, inputs, codes, *others):
            self.steps.append(
                (
                    self.selections,
                    np.asarray(inputs[0]),
                    np.asarray(codes[-1][1]),
                )
            )
            step(model, inputs, codes, *others)

        def selecting(*arguments):
            self.selections += 1
            return select(*arguments)

        monkeypatch.setattr(tim._imle, "_gradient_step", noted)
        monkeypatch.setattr(tim._imle, "select", selecting)


def test_rounds_of_selection_and_gradient_steps(
    compiled, make_pairs, monkeypatch
):
    tim = compiled(
        images_per_selection=2,
        steps_per_selection=4,
        mini_batch_size=1,
        run_eagerly=True,
    )
    recorder = Recorder(tim, monkeypatch)
    inputs, targets = make_pairs(tim, batch=5)
    fit(tim, inputs, targets, batch_size=5)
    # Groups of 2, 2 and 1 images, four steps each.
    assert recorder.selections == 3
    assert int(tim.optimizer.iterations) == 12
    assert [s for s, _, _ in recorder.steps] == [1] * 4 + [2] * 4 + [3] * 4
    for selection, images in ((1, [0, 1]), (2, [2, 3]), (3, [4])):
        code_of = {}
        visits = []
        for number, seen, code in recorder.steps:
            if number != selection:
                continue
            assert len(seen) == 1
            (image,) = (i for i in images if (seen[0] == inputs[i]).all())
            visits.append(image)
            # The code stays, whatever the steps in between did.
            kept = code_of.setdefault(image, code[0])
            np.testing.assert_array_equal(code[0], kept)
        # Every pass through the group visits every image once.
        for first in range(0, 4, len(images)):
            assert sorted(visits[first : first + len(images)]) == images


def test_mini_batches_pass_once_through_the_group(
    compiled, make_pairs, monkeypatch
):
    tim = compiled(steps_per_selection=2, run_eagerly=True)
    recorder = Recorder(tim, monkeypatch)
    inputs, targets = make_pairs(tim, batch=4)
    fit(tim, inputs, targets, batch_size=4)
    seen = np.concatenate([x for _, x, _ in recorder.steps])
    assert [len(x) for _, x, _ in recorder.steps] == [2, 2]
    order = [next(i for i in range(4) if (x == inputs[i]).all()) for x in seen]
    assert sorted(order) == [0, 1, 2, 3]


def test_next_round_draws_other_codes(compiled, make_pairs, monkeypatch):
    tim = compiled(num_samples=1, run_eagerly=True)
    recorder = Recorder(tim, monkeypatch)
    inputs, targets = make_pairs(tim, batch=1)
    fit(tim, inputs, targets, epochs=3)
    codes = [code for _, _, code in recorder.steps]
    assert len(codes) == 3
    for i in range(3):
        for j in range(i):
            assert np.abs(codes[i] - codes[j]).max() > 0.1


@pytest.mark.parametrize(
    ("batch", "arguments", "iterations"),
    [
        (4, {}, 1),
        (5, {"images_per_selection": 2}, 3),
        (5, {"images_per_selection": 2, "steps_per_selection": 3}, 9),
        (3, {"images_per_selection": 9, "steps_per_selection": 2}, 2),
        (2, {"steps_per_selection": 3, "mini_batch_size": 5}, 3),
    ],
)
def test_number_of_iterations(
    compiled, make_pairs, batch, arguments, iterations
):
    # In a graph where all of it comes together.
    tim = compiled(model=SINGLE, run_eagerly=iterations < 9, **arguments)
    fit(tim, *make_pairs(tim, batch=batch), batch_size=batch)
    assert int(tim.optimizer.iterations) == iterations


def test_graph_and_eager_steps_are_the_same(compiled, make_pairs):
    weights = []
    for eager in (True, False):
        tim = compiled(
            model=SINGLE,
            images_per_selection=2,
            steps_per_selection=2,
            mini_batch_size=1,
            run_eagerly=eager,
        )
        fit(tim, *make_pairs(tim), batch_size=3)
        weights.append(tim.get_weights())
    close(*weights, tolerance=1e-5)


def test_training_starts_from_the_given_seed(compiled, make_pairs):
    def losses(seed):
        tim = compiled(seed=seed, run_eagerly=True)
        return fit(tim, *make_pairs(tim))["loss"]

    assert losses(0) == losses(0)
    assert losses(0) != losses(1)


# Losses.


def test_loss_is_the_sum_of_the_selected_distances(compiled, make_pairs):
    tim = compiled(
        quick=False, num_samples=[4, 2], candidate_chunk=3, run_eagerly=True
    )
    inputs, targets = make_pairs(tim)
    logs = {k: v[0] for k, v in fit(tim, inputs, targets).items()}
    assert logs.keys() == {
        "loss",
        "gradient_norm",
        "loss_level0",
        "loss_level1",
        "selected_distance_level0",
        "selected_distance_level1",
    }
    assert all(math.isfinite(value) for value in logs.values())
    # One step: the loss is measured where the selection was.
    for level in (0, 1):
        assert logs[f"loss_level{level}"] == pytest.approx(
            logs[f"selected_distance_level{level}"], rel=1e-5
        )
    assert logs["loss"] == pytest.approx(
        logs["loss_level0"] + logs["loss_level1"], rel=1e-6
    )
    assert logs["gradient_norm"] > 0
    assert {m.name for m in tim.metrics} == logs.keys()


def test_last_level_alone_without_intermediate_supervision(
    compiled, make_pairs
):
    tim = compiled(model={"intermediate_supervision": False}, run_eagerly=True)
    assert tim.get_compile_config()["sampling"] == "vanilla"
    logs = fit(tim, *make_pairs(tim))
    assert logs.keys() == {
        "loss",
        "gradient_norm",
        "selected_distance_level1",
    }
    assert logs["loss"] == pytest.approx(
        logs["selected_distance_level1"], rel=1e-5
    )


def test_vanilla_selection_supervises_every_level(compiled, make_pairs):
    tim = compiled(sampling="vanilla", run_eagerly=True)
    logs = fit(tim, *make_pairs(tim))
    for level in (0, 1):
        assert logs[f"loss_level{level}"] == pytest.approx(
            logs[f"selected_distance_level{level}"], rel=1e-5
        )


def test_hierarchical_selection_needs_intermediate_supervision(compiled):
    with pytest.raises(ValueError, match="`sampling` must be 'vanilla'"):
        compiled(
            model={"intermediate_supervision": False}, sampling="hierarchical"
        )


def test_pixel_weight_counts_in_the_loss(
    compiled, make_pairs, mean_square_distance
):
    @keras.saving.register_keras_serializable(package="test_training")
    def nothing(pictures, targets):
        return 0.0 * mean_square_distance(pictures, targets)

    tim = compiled(
        distance=nothing, pixel_weight=0.5, num_samples=1, run_eagerly=True
    )
    inputs, targets = make_pairs(tim, pyramid=True)
    logs = tim.evaluate(inputs, targets, verbose=0, return_dict=True)
    tim.compile(distance=mean_absolute, num_samples=1, run_eagerly=True)
    other = tim.evaluate(inputs, targets, verbose=0, return_dict=True)
    for name, value in logs.items():
        assert value == pytest.approx(0.5 * other[name], rel=1e-5), name


def mean_absolute(pictures, targets):
    return tf.reduce_mean(tf.abs(pictures - targets), axis=(1, 2, 3))


def test_sample_weights_weigh_the_loss(compiled, make_pairs):
    tim = compiled(run_eagerly=True)
    inputs, targets = make_pairs(tim)

    def loss(sample_weight):
        return tim.evaluate(
            inputs,
            targets,
            sample_weight=np.array(sample_weight, "float32"),
            verbose=0,
            return_dict=True,
        )["loss"]

    single = [loss(row) for row in np.eye(3)]
    assert len(set(single)) == 3
    expected = (single[0] + 3.0 * single[2]) / 4.0
    assert loss([1.0, 0.0, 3.0]) == pytest.approx(expected, rel=1e-5)
    assert loss([0.5, 0.0, 1.5]) == pytest.approx(expected, rel=1e-5)
    assert loss([0.0, 0.0, 0.0]) == 0.0
    assert loss([2.0] * 3) == pytest.approx(np.mean(single), rel=1e-5)


def test_sample_weights_weigh_the_gradient(compiled, make_pairs):
    weights = []
    for rows in ([0, 1, 2], [1]):
        tim = compiled(num_samples=1, run_eagerly=True)
        # The same codes for image 1, whatever its place in the batch.
        tim._imle.select = fixed_selection(tim._imle.select)
        inputs, targets = make_pairs(tim)
        given = np.array([0.0, 1.0, 0.0], "float32")
        tim.train_on_batch(
            tf.constant(inputs[rows]),
            tf.constant(targets[rows]),
            sample_weight=given[rows],
        )
        weights.append(tim.get_weights())
    close(*weights)


def fixed_selection(select):
    def selecting(tim, inputs, targets, seeds, *masks):
        return select(tim, inputs, targets, tf.ones_like(seeds), *masks)

    return selecting


@pytest.mark.parametrize("sampling", ["hierarchical", "vanilla"])
def test_evaluation_is_a_mean_over_the_images(compiled, make_pairs, sampling):
    tim = compiled(run_eagerly=True, sampling=sampling)
    inputs, targets = make_pairs(tim, batch=5)
    weights = np.array([1.0, 2.0, 0.0, 0.5, 3.0], "float32")

    def evaluated(rows, batch_size):
        return tim.evaluate(
            inputs[rows],
            targets[rows],
            sample_weight=weights[rows],
            batch_size=batch_size,
            verbose=0,
            return_dict=True,
        )

    whole = evaluated([0, 1, 2, 3, 4], 5)
    # However the images are ordered and cut into batches.
    for rows, batch_size in (
        ([0, 1, 2, 3, 4], 1),
        ([0, 1, 2, 3, 4], 2),
        ([4, 2, 0, 1, 3], 3),
        ([3, 1, 4, 0, 2], 4),
    ):
        parts = evaluated(rows, batch_size)
        assert parts.keys() == whole.keys()
        for name, value in whole.items():
            assert parts[name] == pytest.approx(value, rel=1e-5), name


def test_evaluation_draws_what_training_does_not(
    compiled, make_pairs, monkeypatch
):
    tim = compiled(run_eagerly=True)
    seeds, select = [], tim._imle.select

    def selecting(tim, inputs, targets, given, *masks):
        seeds.append(given.numpy())
        return select(tim, inputs, targets, given, *masks)

    monkeypatch.setattr(tim._imle, "select", selecting)
    data = make_pairs(tim)
    tim.evaluate(*data, verbose=0)
    fit(tim, *data, epochs=2)
    tested, *trained = seeds
    assert len(set(tested)) == 1
    assert len(set(np.concatenate(trained))) == 6
    assert tested[0] not in np.concatenate(trained)


def test_steps_lower_the_loss(compiled, make_pairs):
    tim = compiled(
        model=SINGLE,
        optimizer=keras.optimizers.Adam(1e-2),
        steps_per_selection=5,
        mini_batch_size=3,
    )
    inputs, _ = make_pairs(tim)
    data = inputs, inputs.repeat(2, axis=1).repeat(2, axis=2)

    def loss():
        return tim.evaluate(*data, verbose=0, return_dict=True)["loss"]

    losses = [loss()]
    for _ in range(3):
        fit(tim, *data, epochs=2)
        losses.append(loss())
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.9 * losses[0]


def test_every_weight_is_trained(compiled, make_pairs):
    # Adam moves even the weights of tiny gradients.
    tim = compiled(quick=False, optimizer="adam", run_eagerly=True)
    before = tim.get_weights()
    fit(tim, *make_pairs(tim))
    for old, weight in zip(before, tim.weights, strict=True):
        assert np.abs(old - weight).max() > 0, weight.path


def test_training_leaves_tensorflow_as_it_was(compiled, make_pairs):
    options = tf.config.optimizer.get_experimental_options
    seen = []
    noting = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(options())
    )
    before = options().get("remapping", True)
    tim = compiled(model=SINGLE)
    fit(tim, *make_pairs(tim), callbacks=[noting])
    assert seen[0]["remapping"] is False
    assert options()["remapping"] is before

    def interrupt(batch, logs):
        raise KeyboardInterrupt

    stopping = keras.callbacks.LambdaCallback(on_train_batch_end=interrupt)
    with pytest.raises(KeyboardInterrupt):
        fit(tim, *make_pairs(tim), callbacks=[stopping])
    assert options()["remapping"] is before


ONE_ROUND = """
import keras, keras_tim

tim = keras_tim.TIM(
    residual_channels=(8,), growth_channels=(4,), num_blocks=0,
    mapping_network=False,
)
tim.compile("sgd", lambda a, b: keras.ops.mean((a - b) ** 2, (1, 2, 3)), 2)
tim.fit(keras.ops.ones((2, 4, 4, 3)), keras.ops.ones((2, 8, 8, 3)), verbose=0)
"""


def test_no_graph_optimization_fails():
    # It is oneDNN's kernels that TensorFlow would fuse in vain.
    found = subprocess.run(
        [sys.executable, "-c", ONE_ROUND],
        env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "remapper" not in found.stderr


# Evaluation.


def test_evaluation_is_repeatable_and_trains_nothing(compiled, make_pairs):
    tim = compiled(model=SINGLE, run_eagerly=True)
    data = make_pairs(tim)
    fit(tim, *data)
    tim.run_eagerly = False
    before = tim.get_weights()
    first = tim.evaluate(*data, verbose=0, return_dict=True)
    assert tim.evaluate(*data, verbose=0, return_dict=True) == first
    assert "gradient_norm" not in first
    for a, b in zip(before, tim.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert int(tim.optimizer.iterations) == 1


def test_validation_within_fit(compiled, make_pairs):
    tim = compiled(run_eagerly=True)
    history = fit(
        tim,
        *make_pairs(tim),
        validation_data=make_pairs(tim, seed=1),
        epochs=2,
    )
    assert len(history["val_loss"]) == 2
    assert "val_selected_distance_level1" in history


# Data.


class Pairs(keras.utils.PyDataset):
    def __init__(self, inputs, targets):
        super().__init__()
        self.pairs = inputs, targets

    def __len__(self):
        return 2

    def __getitem__(self, index):
        rows = slice(2 * index, 2 * index + 2)
        return tuple(x[rows] for x in self.pairs)


@pytest.fixture(scope="module")
def after_arrays(compiled, make_pairs):
    """Weights after fitting on two batches of NumPy arrays."""
    tim = compiled(model=SINGLE)
    fit(tim, *make_pairs(tim, batch=4), batch_size=2)
    return tim.get_weights()


def test_datasets_train_as_arrays_do(compiled, make_pairs, after_arrays):
    tim = compiled(model=SINGLE)
    inputs, targets = make_pairs(tim, batch=4)
    fit(tim, tf.data.Dataset.from_tensor_slices((inputs, targets)).batch(2))
    close(tim.get_weights(), after_arrays)
    tim = compiled(model=SINGLE, run_eagerly=True)
    fit(tim, Pairs(inputs, targets))
    close(tim.get_weights(), after_arrays)


def test_single_target_stands_for_its_pyramid(compiled, make_pairs):
    single = compiled(run_eagerly=True)
    inputs, targets = make_pairs(single, batch=4)
    fit(single, inputs, targets, batch_size=2)
    coarse = tf.image.resize(targets, (6, 10), method="bicubic", antialias=True)
    pyramid = (np.clip(coarse, 0.0, 1.0), targets)
    tim = compiled(run_eagerly=True)
    fit(tim, inputs, pyramid, batch_size=2)
    close(tim.get_weights(), single.get_weights(), tolerance=1e-5)


def test_unknown_sizes_train_as_known_ones(compiled, make_pairs, after_arrays):
    tim = compiled(model=SINGLE)
    inputs, targets = make_pairs(tim, batch=4)

    def generate():
        for first in (0, 2):
            yield inputs[first : first + 2], targets[first : first + 2]

    signature = tf.TensorSpec([None, None, None, 3])
    fit(
        tim,
        tf.data.Dataset.from_generator(
            generate, output_signature=(signature, signature)
        ).apply(tf.data.experimental.assert_cardinality(2)),
    )
    close(tim.get_weights(), after_arrays, tolerance=1e-5)


def test_steps_with_unknown_sizes(compiled, make_pairs):
    tim = compiled(
        model=SINGLE,
        images_per_selection=2,
        steps_per_selection=2,
        mini_batch_size=1,
        candidate_chunk=2,
    )
    signature = tf.TensorSpec([None, None, None, 3])

    def generate():
        for batch, height in ((3, 2), (1, 4), (2, 3)):
            yield make_pairs(tim, batch=batch, height=height)

    logs = fit(
        tim,
        tf.data.Dataset.from_generator(
            generate, output_signature=(signature, signature)
        ).apply(tf.data.experimental.assert_cardinality(3)),
    )
    # Groups: 2 and 1; 1; 2.
    assert int(tim.optimizer.iterations) == 8
    assert np.isfinite(logs["loss"]).all()


def test_one_trace_per_shape(compiled, make_pairs, mean_square_distance):
    calls = []

    def counting(pictures, targets):
        calls.append(pictures.shape)
        return mean_square_distance(pictures, targets)

    tim = compiled(model=SINGLE, distance=counting)
    data = make_pairs(tim, batch=4)
    fit(tim, *data, batch_size=2)
    first = len(calls)
    assert first > 0
    fit(tim, *data, batch_size=2, epochs=3)
    assert len(calls) == first
    fit(tim, *make_pairs(tim, batch=2, height=4), batch_size=2)
    assert len(calls) == 2 * first


def test_train_on_batch_with_arrays(compiled, make_pairs):
    for eager in (True, False):
        tim = compiled(model=SINGLE, run_eagerly=eager)
        logs = tim.train_on_batch(*make_pairs(tim), return_dict=True)
        assert logs["loss"] > 0


# Precision, XLA.


@pytest.mark.parametrize(
    "policy",
    [pytest.param("mixed_bfloat16", marks=pytest.mark.slow), "mixed_float16"],
)
def test_mixed_precision(compiled, make_pairs, policy):
    tim = compiled(
        model={"dtype": policy, **SINGLE},
        optimizer=keras.optimizers.Adam(1e-3),
        num_samples=3,
        steps_per_selection=2,
    )
    inputs, targets = make_pairs(tim)
    before = tim.get_weights()
    logs = fit(tim, inputs, targets, epochs=2)
    assert np.isfinite([logs[name] for name in logs]).all()
    assert np.isfinite([np.sum(w) for w in tim.get_weights()]).all()
    changes = [
        np.abs(a - b).max()
        for a, b in zip(before, tim.get_weights(), strict=True)
    ]
    assert max(changes) < 0.1
    assert np.mean(np.array(changes) > 0) > 0.95


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_candidates_stay_apart_in_half_precision(compiled, make_pairs, policy):
    # With the published initial values, which hardly show the codes.
    tim = compiled(quick=False, model={"dtype": policy}, num_samples=1)
    for weight in tim.trainable_variables:
        if len(weight.shape) == 2:
            weight.assign(weight / 5.0)
    inputs, targets = make_pairs(tim, batch=1, pyramid=True)
    found = {
        float(
            tim._imle.select(
                tim,
                [tf.constant(inputs)],
                [tf.constant(x) for x in targets],
                tf.constant([seed], tf.int64),
            )[0].distances[-1][0]
        )
        for seed in range(6)
    }
    assert len(found) == 6


@pytest.mark.parametrize("half", ["mixed_bfloat16", "mixed_float16"])
def test_gradient_of_half_precision_is_near_the_full_one(
    compiled, make_pairs, half
):
    norms = []
    for policy in ("float32", half):
        tim = compiled(
            quick=False,
            model={"dtype": policy},
            num_samples=1,
            run_eagerly=True,
        )
        norms.append(fit(tim, *make_pairs(tim))["gradient_norm"][0])
    # The loss scale is taken out of the norm.
    assert norms[1] == pytest.approx(norms[0], rel=0.1)


def test_step_under_xla(compiled, make_pairs):
    weights = []
    for jit_compile in (False, True):
        tim = compiled(model=SINGLE, jit_compile=jit_compile, num_samples=1)
        tim._imle.select = fixed_selection(tim._imle.select)
        logs = fit(tim, *make_pairs(tim, batch=2), batch_size=2)
        assert np.isfinite(logs["loss"]).all()
        weights.append(tim.get_weights())
    # XLA draws other numbers for the same seed: the steps differ, a little.
    close(*weights, tolerance=0.05)


@pytest.mark.parametrize(
    ("arguments", "iterations"),
    [
        # Batches of 2, 2 and 1 images.
        pytest.param({"images_per_selection": 1}, 5, marks=pytest.mark.slow),
        pytest.param(
            {
                "images_per_selection": 2,
                "steps_per_selection": 3,
                "mini_batch_size": 1,
                "candidate_chunk": 2,
            },
            9,
            marks=pytest.mark.slow,
        ),
    ],
)
def test_groups_and_mini_batches_under_xla(
    compiled, make_pairs, arguments, iterations
):
    # The last batch is smaller, so that all of them have an unknown size.
    tim = compiled(jit_compile=True, **arguments)
    before = tim.get_weights()
    logs = fit(tim, *make_pairs(tim, batch=5), batch_size=2)
    assert int(tim.optimizer.iterations) == iterations
    assert np.isfinite(logs["loss"]).all()
    steps = [
        np.abs(a - b).max()
        for a, b in zip(tim.get_weights(), before, strict=True)
    ]
    assert 0 < max(steps) < 0.2


# What can be wrong.


def test_model_must_be_compiled(make_tim, make_pairs):
    tim = make_tim(quick=True)
    with pytest.raises(ValueError, match="compile"):
        fit(tim, *make_pairs(tim))
    with pytest.raises(ValueError, match="compile"):
        tim.evaluate(*make_pairs(tim), verbose=0)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x, y: (x, None), "needs? inputs and targets"),
        (lambda x, y: (x, 255.0 * y), r"`targets` must lie in \[0, 1\]"),
        (lambda x, y: (x, 2.0 * y - 1.0), r"`targets` must lie in \[0, 1\]"),
        (lambda x, y: (x, y * np.nan), r"`targets` must lie in \[0, 1\]"),
        (lambda x, y: (255.0 * x, y), "`inputs` must lie in"),
        (lambda x, y: (x, (255 * y).astype("uint8")), "dtype=uint8"),
        (lambda x, y: ((255 * x).astype("uint8"), y), "dtype=uint8"),
        (lambda x, y: (x, y[..., :2]), "`targets` must have shape"),
        (lambda x, y: (x, y[..., 0]), "`targets` must have shape"),
        (lambda x, y: (x, y[:, ::2, ::2]), "target of level 1 must be 12 x 20"),
        (lambda x, y: (x, (y, y)), "target of level 0 must be 6 x 10"),
        (lambda x, y: (x, (y, y, y)), "one tensor or one per level"),
        (lambda x, y: (x[..., :1], y), "`inputs` must have shape"),
        (lambda x, y: ((x, x), y), "1 picture batches"),
    ],
)
def test_refuses_data(compiled, make_pairs, spoil, message):
    tim = compiled(run_eagerly=True)
    data = spoil(*make_pairs(tim))
    with pytest.raises(
        (ValueError, tf.errors.InvalidArgumentError), match=message
    ):
        fit(tim, *data)


@pytest.mark.parametrize("name", ["inputs", "targets"])
def test_refuses_ranges_inside_a_graph(compiled, make_pairs, name):
    tim = compiled(model=SINGLE)
    inputs, targets = make_pairs(tim)
    spoiled = {
        "inputs": (255.0 * inputs, targets),
        "targets": (inputs, 255.0 * targets),
    }
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=rf"`{name}` must lie in \[0, 1\]"
    ):
        fit(tim, *spoiled[name])


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"sampling": "random"}, "sampling='random'"),
        ({"num_samples": 0}, "`num_candidates` must be a positive integer"),
        ({"num_samples": [3, 0]}, "`num_candidates` must be a positive"),
        ({"num_samples": [3, 2, 1]}, "one for each of the 2 levels"),
        ({"num_samples": True}, "`num_candidates`"),
        (
            {"num_samples": [3, 2], "sampling": "vanilla"},
            "single integer for vanilla",
        ),
        ({"images_per_selection": 0}, "`images_per_selection`"),
        ({"steps_per_selection": 0}, "`steps_per_selection`"),
        ({"steps_per_selection": 1.5}, "`steps_per_selection`"),
        ({"mini_batch_size": -1}, "`mini_batch_size`"),
        ({"candidate_chunk": 0}, "`candidate_chunk`"),
        ({"pixel_weight": -1.0}, "`pixel_weight`"),
        ({"distance": "ssim"}, "distance='ssim'"),
        ({"seed": 0.5}, "`seed` must be an integer"),
        ({"seed": None}, "`seed` must be an integer"),
    ],
)
def test_compile_refuses(compiled, kwargs, message):
    with pytest.raises(ValueError, match=message):
        compiled(**kwargs)


# Resuming.


# In a graph, whole runs are resumed in tests/runs.
@pytest.mark.parametrize(
    "eager", [True, pytest.param(False, marks=pytest.mark.slow)]
)
def test_resuming_changes_nothing(compiled, make_pairs, tmp_path, eager):
    tim = compiled(
        optimizer=keras.optimizers.Adam(1e-3),
        steps_per_selection=2,
        run_eagerly=eager,
    )
    data = make_pairs(tim)
    fit(tim, *data)
    tim.save(tmp_path / "tim.keras")
    again = keras.saving.load_model(tmp_path / "tim.keras")
    again.run_eagerly = eager
    assert int(again.optimizer.iterations) == 2
    first = fit(tim, *data)
    second = fit(again, *data)
    assert first == second
    for a, b in zip(tim.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_blocks_traced_once_and_fused_steps_train_alike(make_tim, make_pairs):
    """The losses are those of eager steps, which trace nothing."""
    losses = []
    for run_eagerly in (False, True):
        tim = make_tim()
        tim.compile(
            keras.optimizers.Adam(1e-3),
            distance="mean_squared_error",
            num_candidates=2,
            steps_per_selection=2,
            run_eagerly=run_eagerly,
        )
        history = tim.fit(*make_pairs(tim), epochs=2, verbose=0, shuffle=False)
        losses.append(history.history["loss"])
    np.testing.assert_allclose(*losses, rtol=1e-4)
    assert losses[0][0] != losses[0][1]
