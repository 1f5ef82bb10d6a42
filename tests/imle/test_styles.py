import keras
import numpy as np
import pytest

from keras_tim import TIM
from keras_tim.models.presets import PRESETS

MAPPING = (
    "style_dim",
    "mapping_width",
    "mapping_depth",
    "mapping_learning_rate_multiplier",
    "mapping_gain",
    "mapping_network",
)


def mapping_of(name):
    tim = {**dict.fromkeys(MAPPING), **PRESETS[name]}
    return tuple((key, tim[key]) for key in MAPPING if tim[key] is not None)


# A preset for each mapping network that there is.
FAMILIES = {mapping_of(name): name for name in sorted(PRESETS)}


def change_by_style(tim, inputs):
    """Mean difference of the pictures of one noise and eight styles."""
    ((_, noise),) = tim.draw_codes(inputs, num_samples=1, seed=0)
    ((styles, _),) = tim.draw_codes(inputs, num_samples=8, seed=1)
    pictures = tim.decode(inputs, [(styles, np.repeat(noise, 8, axis=0))])[0]
    pictures = np.asarray(pictures, "float64")
    return np.abs(pictures[0] - pictures[1:]).mean()


def test_families_are_known():
    assert {
        "super_resolution_x16_paper",
        "super_resolution_x16_hyperrim",
        "super_resolution_x4_small",
        "super_resolution_x4_nano",
    } <= {name for name in PRESETS if mapping_of(name) in FAMILIES}
    assert len(FAMILIES) >= 4


@pytest.mark.parametrize("name", FAMILIES.values(), ids=str)
def test_another_style_changes_the_picture_from_the_start(
    name, mean_square_distance
):
    keras.utils.set_random_seed(0)
    # The preset's own mapping network in front of a small tower.
    tim = TIM(
        residual_channels=(8,),
        growth_channels=(4,),
        num_blocks=1,
        noise_channels=2,
        **dict(mapping_of(name)),
    )
    rng = np.random.default_rng(0)
    inputs = rng.random((4, 4, 4, 3), dtype="float32")
    targets = rng.random((4, 8, 8, 3), dtype="float32")
    first = change_by_style(tim, inputs[:1])
    tim.compile(
        keras.optimizers.Adam(1e-3),
        distance=mean_square_distance,
        num_samples=2,
    )
    before = [w.numpy() for w in tim.trainable_variables]
    tim.fit(inputs, targets, epochs=30, verbose=0)
    # From about as much as without a mapping network; with eight layers of a
    # tenth of the gain it is 1e-9.
    assert first > 0.001
    assert change_by_style(tim, inputs[:1]) > 0.001
    steps = [
        np.abs(w - start).max()
        for w, start in zip(tim.trainable_variables, before, strict=True)
        if "/mapping/" in w.path and "kernel" in w.path
    ]
    # Thirty of Adam's steps, none above about the multiplied rate.
    rate = 1e-3 * tim.mapping_learning_rate_multiplier
    for step in steps:
        assert 3 * rate < step < 40 * rate
