"""Integers of NumPy do wherever Python's do."""

import json

import numpy as np
import pytest

from keras_tim.data import (
    crop_dataset,
    decompression_pair,
    layout_pair,
    super_resolution_pair,
)
from keras_tim.data.class_files import Classes
from keras_tim.evaluation import EvaluationSettings
from keras_tim.export.limits import Limits
from keras_tim.export.saved_model import _version
from keras_tim.images import contact_sheet, write_film
from keras_tim.metrics import (
    kernel_distance,
    picture_features,
    recompressed_psnr,
)
from keras_tim.runs.settings import RunSettings

RANDOM = np.random.RandomState(0)
PHOTOS = RANDOM.rand(4, 32, 32, 3).astype("float32")
FEATURES = RANDOM.rand(2, 6, 3)


def one_batch(number):
    crops = crop_dataset(
        list(PHOTOS),
        crop_size=number(16),
        batch_size=number(2),
        seed=number(3),
        downsample=number(2),
        crops_per_picture=number(1),
    )
    return next(iter(crops)).numpy()


FUNCTIONS = {
    "crops": one_batch,
    "super_resolution": lambda number: super_resolution_pair(
        PHOTOS[0], scale=number(4)
    ),
    "jpeg": lambda number: decompression_pair(
        PHOTOS[0], multiple=number(16), quality=number(5)
    ),
    "layouts": lambda number: layout_pair(
        PHOTOS[0],
        np.zeros((32, 32), np.uint8),
        Classes.of_ids([number(0), number(1)]),
        num_levels=number(2),
    ),
    "features": lambda number: picture_features(
        PHOTOS, lambda x: x[:, 0, 0], batch_size=number(3)
    ),
    "kernel": lambda number: kernel_distance(
        *FEATURES,
        num_subsets=number(2),
        subset_size=number(4),
        seed=number(1),
    ),
    "quality": lambda number: recompressed_psnr(
        PHOTOS[:1], PHOTOS[0], quality=number(5)
    ),
    "sheet": lambda number: contact_sheet([PHOTOS], scale=number(2)),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_functions(function):
    expected = function(int)
    for kind in (np.int64, np.uint8):
        for a, b in zip(expected, function(kind), strict=True):
            np.testing.assert_array_equal(a, b)


def test_films(tmp_path):
    for name, kind in (("a.gif", int), ("b.gif", np.int64)):
        write_film(
            tmp_path / name, PHOTOS, milliseconds=kind(50), hold=kind(90)
        )
    first, second = (tmp_path / name for name in ("a.gif", "b.gif"))
    assert first.read_bytes() == second.read_bytes()


SETTINGS = {
    RunSettings: {
        "num_candidates": (32, 8, 4),
        "steps": 7,
        "crop_size": 64,
        "quality": 3,
        "seed": 0,
        "mini_batch_size": 2,
        "residual_channels": (16, 8),
    },
    EvaluationSettings: {"num_samples": 3, "count": 4, "crop": 8, "seed": -1},
    Limits: {"output_pixels": 100, "alternatives": 2},
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_settings_can_be_written(kind):
    given = SETTINGS[kind]
    numpy = {
        name: np.array(value) if isinstance(value, tuple) else np.int64(value)
        for name, value in given.items()
    }
    settings = kind(**numpy)
    assert settings == kind(**given)
    assert json.dumps(vars(settings)) == json.dumps(vars(kind(**given)))
    name = next(iter(given))
    with pytest.raises(ValueError, match=f"`{name}"):
        kind(**{**given, name: 2.5})


def test_versions(tmp_path):
    found = _version(str(tmp_path), np.int64(7))
    assert found == 7
    assert str(found) == "7"
    with pytest.raises(ValueError, match="`version` must be an integer from 0"):
        _version(str(tmp_path), -1)
