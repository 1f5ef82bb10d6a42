import numpy as np
import pytest

from keras_tim import TIM
from keras_tim.layers.resampling import bicubic_downsample, bicubic_upsample
from keras_tim.tasks import get_task


@pytest.fixture
def pictures():
    """An input with noise in its pixels, and an output of another colour."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0.0, 0.1, (1, 24, 32, 3)).astype("float32")
    return 0.5 + noise, np.full((1, 96, 128, 3), 0.3, "float32")


def test_without_a_blur_the_input_comes_back_noise_and_all(pictures):
    observed, output = pictures
    agreed = get_task("super_resolution").agreeing(output, observed, 4, 8)
    np.testing.assert_allclose(
        bicubic_downsample(agreed, 4), observed, atol=0.01
    )


def test_with_a_blur_colours_agree_and_noise_stays_out(pictures):
    observed, output = pictures
    agreed = get_task("super_resolution").agreeing(
        output, observed, 4, 1, blur=4.0
    )
    agreed = np.asarray(agreed)
    assert abs(agreed.mean() - observed.mean()) < 0.002
    # A Gaussian of 4 pixels leaves 1 / (2 sqrt(pi) 4) = 7% of the deviation.
    assert agreed.std() < 0.12 * observed.std()


def test_detail_of_the_output_stays(pictures):
    _, output = pictures
    rng = np.random.default_rng(1)
    detailed = output + rng.normal(0, 0.1, output.shape).astype("float32")
    # Exactly what is missing of an input that it already agrees with: nothing.
    observed = bicubic_downsample(detailed, 4)
    agreed = get_task("super_resolution").agreeing(
        detailed, observed, 4, 1, blur=4.0
    )
    np.testing.assert_allclose(agreed, detailed, atol=1e-6)


def test_samples_of_a_model_agree_in_colour():
    arguments = {
        "residual_channels": (4, 4),
        "growth_channels": (2, 2),
        "num_blocks": 0,
        "mapping_network": False,
        "style_dim": 4,
        "output_activation": "linear",
    }
    rng = np.random.default_rng(2)
    low = np.full((1, 24, 24, 3), 0.5, "float32")
    low += rng.normal(0.0, 0.05, low.shape).astype("float32")
    slow = []
    for options in ({}, {"consistency": 1, "consistency_blur": 4.0}):
        tim = TIM("super_resolution", **arguments, **options)
        samples = np.asarray(tim.sample(low, num_samples=2, seed=0))[0]
        off = bicubic_upsample(low, 4) - samples
        slow.append(np.abs(np.mean(off, axis=(1, 2))).max())
    assert slow[1] < 0.01 < slow[0]


@pytest.mark.parametrize(
    ("task", "blur"), [("super_resolution", -1.0), ("colourization", 4.0)]
)
def test_other_blurs_are_refused(task, blur):
    with pytest.raises(ValueError, match="consistency_blur"):
        TIM(
            task,
            residual_channels=(4, 4),
            growth_channels=(2, 2),
            num_blocks=0,
            consistency_blur=blur,
        )
