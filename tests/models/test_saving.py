import inspect
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest
from keras import ops

from keras_tim import LPIPS, TIM
from keras_tim.data import Classes, read_classes
from keras_tim.perceptual import WeightsError


@keras.saving.register_keras_serializable(package="test_saving")
def mean_square(pictures, targets):
    return ops.mean((pictures - targets) ** 2, axis=(1, 2, 3))


EVERYTHING = {
    "task": "decompression",
    "residual_channels": (6, 5, 4),
    "growth_channels": (4, 3, 2),
    "num_blocks": 2,
    "input_channels": 4,
    "style_dim": 7,
    "noise_channels": 3,
    "mapping_width": 9,
    "mapping_depth": 3,
    "mapping_learning_rate_multiplier": 0.5,
    "mapping_gain": 0.3,
    "feature_scale": 0.4,
    "residual_scale": 0.3,
    "weight_norm": False,
    "mapping_network": False,
    "intermediate_supervision": False,
    "input_skip": True,
    "stochastic": False,
    "architecture": "hyperrim",
    "plain_blocks": (2, 1, 0),
    "normalization": "none",
    "style_cell": 4,
    "output_activation": "linear",
    "consistency": 2,
    "consistency_blur": 0.0,  # of super-resolution alone
    "jpeg_quality": 30,
    "num_resize_convolutions": (1, 2, 1),
    "modulated_head": False,
    "guidance": None,
    "guidance_channels": 8,
    "trunk_learning_rate_multiplier": 0.5,
    "trunk": "realsr_df2k",
    "freeze_plain": True,
    "classes": None,  # of layouts alone, see below
}


def test_every_argument_is_an_attribute_and_in_the_config():
    arguments = set(inspect.signature(TIM).parameters) - {"kwargs"}
    assert arguments == EVERYTHING.keys(), "the list above misses some"
    tim = TIM(**EVERYTHING, name="everything", dtype="mixed_bfloat16")
    config = tim.get_config()
    for name, value in EVERYTHING.items():
        assert getattr(tim, name) == value
        assert config[name] == value
    again = TIM.from_config(config)
    assert again.get_config() == config
    assert again.name == "everything"
    assert again.dtype_policy.name == "mixed_bfloat16"


def test_integers_of_numpy():
    integers = {
        name: np.array(value) if isinstance(value, tuple) else np.int64(value)
        for name, value in EVERYTHING.items()
        if isinstance(value, int | tuple) and not isinstance(value, bool)
    }
    assert len(integers) == 14
    config = TIM(**{**EVERYTHING, **integers}, name="numpy").get_config()
    assert config == TIM(**EVERYTHING, name="numpy").get_config()
    assert "int64" not in repr(config)


def test_classes_of_layouts(tmp_path):
    tiny = {
        "task": "layout_synthesis",
        "residual_channels": (6,),
        "growth_channels": (4,),
        "num_blocks": 0,
    }
    classes = read_classes("cityscapes")
    tim = TIM(**tiny, classes=classes)
    assert tim.input_channels == classes.num_channels == 20
    again = reloaded(tim, tmp_path)
    assert again.get_config() == tim.get_config()
    assert Classes(again.classes).ids == classes.ids
    assert tim.folded().classes == tim.classes
    # Files from before classes were kept.
    config = tim.get_config()
    del config["classes"]
    assert TIM.from_config(config).classes is None
    for arguments, message in (
        ({"classes": classes, "input_channels": 19}, "`classes`, and one for"),
        ({"classes": [("sky", 1, None), ("road", 1, None)]}, "one class alone"),
        ({}, "`input_channels` or `classes`"),
        ({"task": "mnist", "classes": classes}, "must be None but for layout"),
    ):
        with pytest.raises(ValueError, match=message):
            TIM(**{**tiny, **arguments})


def test_defaults_of_the_task_are_resolved(make_tim):
    tim = make_tim(noise_channels=None)
    assert tim.get_config()["noise_channels"] == 5
    assert tim.get_config()["feature_scale"] == 0.1
    # None of the two may be taken for "not given".
    tim = make_tim(feature_scale=0.0)
    assert tim.feature_scale == 0.0


def test_full_precision_keeps_a_distance_of_given_weights(
    make_tim, lpips_weights, tmp_path
):
    distance = LPIPS("alex", lpips_weights["alex"])
    tim = make_tim(quick=True, dtype="mixed_bfloat16")
    tim.compile(distance=distance)
    assert tim.full_precision()._imle.distance.distance is distance


def reloaded(tim, tmp_path):
    tim.save(tmp_path / "tim.keras")
    return keras.saving.load_model(tmp_path / "tim.keras")


def test_uncompiled_model(make_tim, pictures, tmp_path):
    tim = make_tim(input_skip=True)
    again = reloaded(tim, tmp_path)
    assert type(again) is TIM
    assert again.get_config() == tim.get_config()
    for a, b in zip(tim.weights, again.weights, strict=True):
        assert a.path == b.path
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="must call `compile"):
        again.fit(pictures(tim)[0], np.zeros((2, 16, 24, 3), "float32"))


def test_files_without_the_mapping_gain(make_tim, pictures, tmp_path):
    # Earlier files: no such argument, and mapping weights that are divided by
    # the learning rate's multiplier and do not say what they are.
    tim = make_tim(mapping_learning_rate_multiplier=0.25)
    tim.save(tmp_path / "new.keras")
    with zipfile.ZipFile(tmp_path / "new.keras") as archive:
        archive.extractall(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["config"]["mapping_gain"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with h5py.File(tmp_path / "model.weights.h5", "r+") as file:
        paths = []
        file.visit(paths.append)
        mapping = [path for path in paths if "/mapping/" in path]
        marks = [path for path in mapping if path.endswith("/stored_scale")]
        assert len(marks) == tim.num_levels
        for path in mapping:
            if path in marks:
                del file[path]
            elif isinstance(file[path], h5py.Dataset):
                file[path][...] = file[path][...] / 0.25
    with zipfile.ZipFile(tmp_path / "old.keras", "w") as archive:
        for name in ("metadata.json", "config.json", "model.weights.h5"):
            archive.write(tmp_path / name, name)
    again = keras.saving.load_model(tmp_path / "old.keras")
    for a, b in zip(tim.weights, again.weights, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=a.path)


COMPILED = {
    "num_candidates": [3, 2],
    "sampling": "hierarchical",
    "images_per_selection": 2,
    "steps_per_selection": 3,
    "mini_batch_size": 1,
    "candidate_chunk": 5,
    "pixel_weight": 0.25,
    "seed": 11,
}


def test_compiled_model(tim, tmp_path):
    optimizer = keras.optimizers.Adam(3e-4, beta_2=0.99)
    tim.compile(optimizer, distance=mean_square, **COMPILED)
    again = reloaded(tim, tmp_path)
    before, after = tim.get_compile_config(), again.get_compile_config()
    for name, value in COMPILED.items():
        assert before[name] == value
        assert after[name] == value
    assert again._imle.distance.distance is mean_square
    assert again.optimizer.get_config() == tim.optimizer.get_config()
    assert [m.name for m in again.metrics] == [m.name for m in tim.metrics]


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_lpips_is_restored_without_its_weights(tim, tmp_path, monkeypatch, net):
    def nothing(*args, **kwargs):
        raise WeightsError("no weights here")

    monkeypatch.setattr("keras_tim.perceptual.lpips.load_lpips_arrays", nothing)
    tim.compile(distance=f"lpips_{net}")
    again = reloaded(tim, tmp_path)
    distance = again._imle.distance.distance
    assert isinstance(distance, LPIPS)
    assert distance.net == net
    # The distance is no part of the model.
    assert again.count_params() == tim.count_params()


def test_file_can_be_read_without_compiling(tim, tmp_path):
    tim.compile(distance=mean_square)
    tim.save(tmp_path / "tim.keras")
    again = keras.saving.load_model(tmp_path / "tim.keras", compile=False)
    assert not again.compiled


def test_weights_alone(make_tim, pictures, tmp_path):
    tim, other = make_tim(), make_tim()
    for weight in other.weights:
        weight.assign(0.0 * weight + 0.1)
    tim.save_weights(tmp_path / "tim.weights.h5")
    other.load_weights(tmp_path / "tim.weights.h5")
    for a, b in zip(tim.weights, other.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_clone(tim):
    twin = keras.models.clone_model(tim)
    assert twin.get_config() == tim.get_config()
