import numpy as np
import pytest

# A two-level super-resolution CAM-Net, in the published code's names.
LEVELS = [
    {"residual": 4, "growth": 3, "seen": 3 + 2},
    {"residual": 3, "growth": 2, "seen": 3 + 2 + 4},
]
STYLE_DIM, MAPPING_WIDTH, MAPPING_DEPTH, NUM_BLOCKS = 5, 6, 2, 1


def convolution(rng, name, filters, channels):
    return {
        f"{name}.weight_v": rng.normal(size=(filters, channels, 3, 3)),
        f"{name}.weight_g": rng.uniform(0.5, 1.5, (filters, 1, 1, 1)),
        f"{name}.bias": rng.normal(0.0, 0.1, filters),
    }


def dense(rng, name, units, inputs):
    return {
        f"{name}.weight": rng.normal(0.0, 0.3, (units, inputs)),
        f"{name}.bias": rng.normal(0.0, 0.1, units),
    }


def state_of_level(rng, number, residual, growth, seen):
    prefix = f"level_{number}"
    state = {}
    inputs = STYLE_DIM
    for index in range(MAPPING_DEPTH):
        name = f"{prefix}_map.{2 * index}"
        state |= dense(rng, name, MAPPING_WIDTH, inputs)
        inputs = MAPPING_WIDTH
    state |= convolution(rng, f"{prefix}_feat.0", residual, seen)
    body = f"{prefix}_style.sub"
    for block in range(NUM_BLOCKS):
        for i in range(1, 4):
            for j in range(1, 6):
                state |= convolution(
                    rng,
                    f"{body}.{block}.RDB{i}.conv{j}.0",
                    residual if j == 5 else growth,
                    residual + (j - 1) * growth,
                )
        name = f"{body}.transform_{block}"
        state |= dense(rng, name, 2 * residual, MAPPING_WIDTH)
    state |= convolution(rng, f"{body}.lr_conv.0", residual, residual)
    state |= convolution(rng, f"{prefix}_up.1", residual, residual)
    state |= convolution(rng, f"{prefix}_up.3", residual, residual)
    state |= convolution(rng, f"{prefix}_out.0", 3, residual)
    return state


@pytest.fixture
def state():
    rng = np.random.default_rng(0)
    arrays = {}
    for number, level in enumerate(LEVELS, start=1):
        arrays |= state_of_level(rng, number, **level)
    return {name: value.astype("float32") for name, value in arrays.items()}
