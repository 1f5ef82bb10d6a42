import numpy as np
import pytest
import tensorflow as tf

from keras_tim import LPIPS
from keras_tim.perceptual import Hypercolumns


@pytest.fixture(scope="module")
def guided(lpips_weights, make_tim):
    return make_tim(
        "colourization", guidance="vgg", guidance_channels=4, style_cell=4
    )


def greys(batch=2, height=16, width=32, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((batch, height, width, 1), dtype="float32")


def test_maps_come_in_every_size(lpips_weights):
    layer = Hypercolumns(channels=5, num_maps=2)
    pictures = np.repeat(greys(), 3, axis=-1)
    coarse, fine = layer(pictures, sizes=[(4, 8), (16, 32)])
    assert coarse.shape == (2, 4, 8, 5)
    assert fine.shape == (2, 16, 32, 5)
    again = Hypercolumns.from_config(layer.get_config())
    assert (again.channels, again.num_maps) == (5, 2)


def test_network_under_the_maps_is_that_of_lpips(lpips_weights):
    layer, lpips = Hypercolumns(channels=1), LPIPS("vgg")
    pictures = np.repeat(greys(1, 32, 32), 3, axis=-1)
    layer(pictures, sizes=[(32, 32)])
    lpips(pictures, pictures)
    ours = [w for w in layer.weights if "projection" not in w.path]
    theirs = [w for w in lpips.weights if "head" not in w.path]
    total = sum(float(tf.reduce_sum(tf.abs(w))) for w in ours)
    assert len(ours) == len(theirs) == 26
    assert total == pytest.approx(
        sum(float(tf.reduce_sum(tf.abs(w))) for w in theirs), rel=1e-5
    )


def test_recognition_is_no_part_of_training(guided):
    trained = {w.path for w in guided.trainable_variables}
    frozen = [w.path for w in guided.weights if "level_guide" in w.path]
    assert any("projection" in path for path in trained)
    assert not any("kernel_" in path for path in trained)
    assert sum("kernel_" in path for path in frozen) == 13


def test_what_guides_shows_in_the_output(guided):
    inputs = greys()
    codes = guided.draw_codes(inputs, num_samples=1, seed=0)
    before = guided(inputs, codes)[-1].numpy()
    projection = guided.guide.trainable_weights[0]
    kept = projection.numpy()
    projection.assign(3.0 * kept)
    assert np.abs(guided(inputs, codes)[-1] - before).max() > 1e-5
    projection.assign(kept)


def test_sample_agrees_with_decode_and_saves(guided, tmp_path):
    import keras

    inputs = greys(1)
    codes = guided.draw_codes(inputs, num_samples=2, seed=3)
    samples = guided.sample(inputs, num_samples=2, seed=3)
    np.testing.assert_allclose(
        guided.decode(inputs, codes)[-1], samples[0], atol=1e-4
    )
    guided.save(tmp_path / "guided.keras")
    again = keras.models.load_model(tmp_path / "guided.keras")
    np.testing.assert_array_equal(
        again.sample(inputs, num_samples=2, seed=3), samples
    )


def test_training_moves_the_projections(guided):
    inputs = greys()
    targets = np.repeat(inputs, 3, axis=-1) ** [0.5, 1.0, 2.0]
    before = guided.guide.trainable_weights[0].numpy()
    guided.compile(
        optimizer="adam",
        distance={"lpips_alex": 1.0},
        num_samples=2,
        run_eagerly=True,
    )
    guided.fit(inputs, targets.astype("float32"), verbose=0)
    assert np.abs(guided.guide.trainable_weights[0] - before).max() > 0


@pytest.mark.parametrize(
    ("task", "guidance"), [("decompression", "vgg"), ("colourization", "alex")]
)
def test_refuses_guidance_it_does_not_know(make_tim, task, guidance):
    with pytest.raises(ValueError, match="`guidance`"):
        make_tim(task, guidance=guidance)


def test_own_skip_starts_from_the_input(make_tim):
    tim = make_tim("decompression", input_skip="own")
    rng = np.random.default_rng(0)
    inputs = rng.random((1, 8, 8, 3), dtype="float32")
    for module in tim.tower:
        for weight in module.output_convolution.weights:
            weight.assign(tf.zeros_like(weight))
        # A direction of length zero has no norm.
        module.output_convolution.v.assign(
            tf.ones_like(module.output_convolution.v)
        )
    sample = tim.sample(inputs, num_samples=1, seed=0)[0, 0]
    np.testing.assert_allclose(sample, inputs[0], atol=1e-6)


@pytest.mark.parametrize("sides", [((24, 16), (24, 32)), ((16, 24), (32, 24))])
def test_pictures_may_differ_in_one_side(make_tim, lpips_weights, sides):
    # A graph for pictures of many sizes then knows the other side alone.
    tim = make_tim("colourization", guidance="vgg", guidance_channels=4)
    for height, width in (*sides, (24, 40)):
        made = tim.sample(greys(1, height, width), num_samples=1, seed=0)
        assert made.shape == (1, 1, height, width, 3)
