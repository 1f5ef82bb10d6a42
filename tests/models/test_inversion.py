import numpy as np
import pytest
import tensorflow as tf

from keras_tim.imle.inversion import near_shell

# Of a single level: twice as many take twice as long to trace.
SINGLE = {"residual_channels": (8,), "growth_channels": (4,)}


def mean_squares(pictures, targets):
    return tf.reduce_mean(tf.square(pictures - targets), axis=(1, 2, 3))


def test_codes_are_scaled_back_to_the_shell():
    code = tf.constant([[3.0, 4.0], [0.3, 0.4], [1.0, -1.0], [0.0, 0.0]])
    found = near_shell(code, 0.1).numpy()
    # The shell of two dimensions has the radius sqrt(2).
    radii = np.linalg.norm(found, axis=1) / np.sqrt(2)
    np.testing.assert_allclose(radii, [1.1, 0.9, 1.0, 0.0], rtol=1e-6)
    np.testing.assert_allclose(found[0, 0] / found[0, 1], 0.75, rtol=1e-6)


def test_finds_its_own_samples_better_than_a_draw_does(make_tim, pictures):
    tim = make_tim()
    (small,) = pictures(tim)
    targets = tim.sample(small, num_samples=1, seed=9)[:, 0]
    found = tim.invert(
        small,
        targets,
        steps=60,
        learning_rate=0.1,
        distance=mean_squares,
        frames=4,
        verbose=0,
    )
    assert found.losses.shape == (61, 2)
    assert found.path.shape == (4, *targets.shape)
    np.testing.assert_array_equal(found.path_steps, [0, 20, 40, 60])
    assert (found.distances < 0.5 * found.losses[0]).all()
    np.testing.assert_allclose(found.distances, found.losses.min(axis=0))
    made = tim.decode(small, found.codes)[-1]
    np.testing.assert_allclose(made, found.pictures, atol=1e-5)
    np.testing.assert_allclose(
        mean_squares(made, targets), found.distances, atol=1e-6
    )
    for code in found.codes:
        for part in code:
            axes = tuple(range(1, part.ndim))
            radius = np.sqrt(np.square(part).mean(axis=axes))
            # The radius of a draw of n numbers varies by sqrt(1 / 2).
            widest = 2.0 * np.sqrt(0.5 / part[0].size) + 1e-5
            assert (np.abs(radius - 1.0) < widest).all()


def test_starts_from_the_nearest_that_the_seed_draws(make_tim, pictures):
    tim = make_tim(**SINGLE)
    (small,) = pictures(tim)
    targets = np.random.default_rng(0).random((2, 8, 12, 3), "float32")
    samples = tim.sample(small, num_samples=5, seed=4)
    distances = np.square(samples - targets[:, None]).mean(axis=(2, 3, 4))
    arguments = {"steps": 1, "seed": 4, "distance": mean_squares, "verbose": 0}
    found = tim.invert(small, targets, num_starts=5, **arguments)
    nearest = samples[np.arange(2), distances.argmin(axis=1)]
    np.testing.assert_allclose(found.path[0], nearest, atol=1e-5)
    np.testing.assert_allclose(
        found.losses[0], distances.min(axis=1), rtol=1e-5
    )
    found = tim.invert(small, targets, num_starts=1, **arguments)
    np.testing.assert_allclose(found.path[0], samples[:, 0], atol=1e-5)


def test_a_picture_does_not_depend_on_the_batch(make_tim, pictures):
    tim = make_tim(**SINGLE)
    (small,) = pictures(tim)
    targets = tim.sample(small, num_samples=1, seed=9)[:, 0]
    arguments = {"steps": 5, "distance": mean_squares, "verbose": 0}
    both = tim.invert(small, targets, **arguments)
    alone = tim.invert(small[1:], targets[1:], **arguments)
    np.testing.assert_allclose(alone.losses[:, 0], both.losses[:, 1], rtol=1e-4)


def test_a_regression_stays_where_it_is(make_tim, pictures):
    tim = make_tim(quick=True, stochastic=False)
    (small,) = pictures(tim)
    targets = np.full((2, 16, 24, 3), 0.5, "float32")
    found = tim.invert(
        small, targets, steps=2, distance=mean_squares, verbose=0
    )
    np.testing.assert_allclose(found.losses, found.losses[:1].repeat(3, 0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 0}, "`steps`"),
        ({"learning_rate": 0.0}, "`learning_rate`"),
        ({"shell_width": -0.1}, "`shell_width`"),
        ({"num_starts": 0}, "`num_starts`"),
        ({"frames": 2.5}, "`frames`"),
        ({"targets": np.zeros((2, 16, 20, 3), "float32")}, r"16, 24, 3.*20"),
        ({"targets": np.zeros((2, 16, 24, 1), "float32")}, "`targets`"),
        ({"targets": np.full((2, 16, 24, 3), 255.0)}, "`targets`"),
    ],
)
def test_refuses(make_tim, pictures, arguments, message):
    tim = make_tim(quick=True)
    arguments = {"targets": np.zeros((2, 16, 24, 3), "float32"), **arguments}
    with pytest.raises(ValueError, match=message):
        tim.invert(pictures(tim)[0], distance=mean_squares, **arguments)
