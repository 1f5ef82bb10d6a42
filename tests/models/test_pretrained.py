import json

import numpy as np
import pytest

from keras_tim import TIM
from keras_tim.data import sample_photos
from keras_tim.layers.resampling import bicubic_picture
from keras_tim.metrics import low_resolution_psnr
from keras_tim.models.fingerprint import fingerprint
from keras_tim.models.pretrained import (
    DEFAULT_PRESETS,
    PresetError,
    default_preset,
    preset_folder,
    read_preset,
    shipped_name,
    shipped_presets,
    stored_weights,
)
from keras_tim.runs import load_run
from keras_tim.runs.settings import RunSettings
from keras_tim.tasks.colourization import rgb_to_lab, rgb_to_lightness

CARD = {"data": "noise", "licence": "CC0"}


@pytest.fixture
def preset(make_tim, tmp_path):
    tim = make_tim(num_blocks=(1, 0), plain_blocks=(1, 0))
    tim.save_to_preset(tmp_path / "tiny", CARD, dtype="float32")
    return tim, tmp_path / "tiny"


def pictures():
    return np.random.default_rng(0).random((1, 4, 5, 3), dtype="float32")


def test_presets_come_back_equal(preset):
    tim, folder = preset
    again = TIM.from_preset(folder)
    np.testing.assert_array_equal(
        again.sample(pictures(), num_samples=2, seed=1),
        tim.sample(pictures(), num_samples=2, seed=1),
    )
    assert read_preset(folder)["card"] == CARD
    # Names of our own, which outlive the order in which weights are made.
    names = stored_weights(tim)
    assert "level0/rrdb1/dense_block1/conv1/v" in names
    assert len(names) == len(tim.weights)


def test_half_precision_is_half_as_large(preset, tmp_path):
    tim, folder = preset
    tim.save_to_preset(tmp_path / "half")
    again = TIM.from_preset(tmp_path / "half")
    full, half = (
        (place / "weights.npz").stat().st_size
        for place in (folder, tmp_path / "half")
    )
    assert half < 0.8 * full
    np.testing.assert_allclose(
        again.sample(pictures(), num_samples=1, seed=1),
        tim.sample(pictures(), num_samples=1, seed=1),
        atol=5e-3,
    )


def test_fresh_weights_on_request(preset):
    _, folder = preset
    fresh = TIM.from_preset(folder, load_weights=False, growth_channels=(5, 5))
    assert fresh.growth_channels == (5, 5)
    with pytest.raises(PresetError, match="load_weights=False"):
        TIM.from_preset(folder, growth_channels=(5, 5))


def test_other_classes_need_other_weights(make_tim, tmp_path):
    classes = [("sky", 1, (1, 2, 3)), ("road", 2, None)]
    tim = make_tim("layout_synthesis", quick=True, classes=classes)
    tim.save_to_preset(tmp_path)
    assert TIM.from_preset(tmp_path).classes == tim.classes
    more = [*classes, ("wall", 3, None)]
    other = TIM.from_preset(tmp_path, load_weights=False, classes=more)
    assert other.input_channels == 4
    with pytest.raises(PresetError, match="belongs to another model"):
        TIM.from_preset(tmp_path, classes=more)


def test_presets_without_trained_weights_say_so():
    assert TIM.from_preset("mnist_nano").task == "mnist"
    with pytest.raises(ValueError, match="without trained weights"):
        TIM.from_preset("mnist_paper", load_weights=True)


def test_what_cannot_be_stored_is_refused(preset, tmp_path):
    tim, _ = preset
    tim.tower[0].head.g.assign(np.full(8, 1e6))
    with pytest.raises(ValueError, match=r"level0/head/g .* float16"):
        tim.save_to_preset(tmp_path / "large")
    with pytest.raises(ValueError, match="`dtype`"):
        tim.save_to_preset(tmp_path / "large", dtype="int8")


def damaged(kind, folder):
    config, weights = folder / "config.json", folder / "weights.npz"
    if kind == "no weights":
        weights.unlink()
    elif kind == "changed weights":
        content = bytearray(weights.read_bytes())
        content[-40] ^= 1
        weights.write_bytes(content)
    elif kind == "short weights":
        weights.write_bytes(weights.read_bytes()[:100])
    elif kind == "no config":
        config.unlink()
    elif kind == "no json":
        config.write_text("{")
    elif kind == "other json":
        config.write_text("[1, 2]")
    elif kind == "newer":
        config.write_text(
            json.dumps({**json.loads(config.read_text()), "format": 99})
        )


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("no weights", "weights.npz"),
        ("changed weights", "weights.npz"),
        ("short weights", "weights.npz"),
        ("no config", "config.json"),
        ("no json", "config.json"),
        ("other json", "config.json"),
        ("newer", "config.json"),
    ],
)
def test_damaged_presets_are_refused(preset, kind, named):
    _, folder = preset
    damaged(kind, folder)
    with pytest.raises(PresetError, match=named):
        TIM.from_preset(folder)


@pytest.mark.parametrize("name", shipped_presets())
def test_shipped_presets_are_whole(name):
    folder = shipped_presets()[name]
    config = read_preset(folder)
    card = config["card"]
    for part in ("data", "licence", "recipe", "measures", "must_not"):
        assert card.get(part), part
    assert name in TIM.presets()
    # What it is meant to be trained on with is understood.
    settings = RunSettings.of_task(config["model"]["task"], preset=name)
    assert settings.learning_rate < 1e-3
    assert TIM.training_settings(name)["distance"] == settings.distance


def test_every_default_preset_is_shipped():
    for task, name in DEFAULT_PRESETS.items():
        assert read_preset(preset_folder(name))["model"]["task"] == task
        assert default_preset(task) == name
    with pytest.raises(ValueError, match="No trained preset for paired"):
        default_preset("paired_images")


def test_what_repairs_jpegs_is_named():
    preset = default_preset("decompression", of_files=True)
    assert preset in shipped_presets()
    with pytest.raises(ValueError, match=f"--task=decompression.*{preset}"):
        default_preset("decompression")


def test_the_small_upscaler_adds_detail_that_agrees_with_its_input():
    tim = load_run("super_resolution_x4_lite")
    rng = np.random.default_rng(0)
    coarse = rng.random((1, 6, 6, 3), dtype="float32")
    given = np.asarray(bicubic_picture(coarse[0], (24, 24)), "float32")[None]
    given = given.clip(0.0, 1.0)
    samples = tim.sample(given, num_samples=3, seed=1)[0]
    assert (low_resolution_psnr(samples, given[0]) > 45.0).all()
    plain = bicubic_picture(given[0], (96, 96))
    detail = np.abs(samples - plain).mean(axis=(1, 2, 3))
    assert (detail > 0.002).all()
    assert (detail < 0.1).all()
    assert np.abs(samples[0] - samples[1]).mean() > 1e-3


def test_layouts_become_streets_under_a_sky():
    tim = load_run("layout_synthesis_camvid")
    names = [row[0] for row in tim.classes]
    layout = np.zeros((1, 48, 64, tim.input_channels), "float32")
    classes = list(dict.fromkeys(n for n in names if n != "void"))
    layout[:, :24, :, classes.index("sky")] = 1.0
    layout[:, 24:, :, classes.index("road")] = 1.0
    for sample in tim.sample(layout, num_samples=2, seed=0)[0]:
        sky, road = sample[:32].mean(), sample[-32:].mean()
        assert sky > road + 0.2


def test_grey_photos_get_different_mild_colours(lpips_weights):
    tim = load_run("colourization_photos")
    photo = sample_photos()["chelsea"][:224, 100:324].astype("float32") / 255
    given = np.asarray(rgb_to_lightness(photo))
    samples = tim.sample(given[None], num_samples=3, seed=0)[0]
    colours = np.asarray(rgb_to_lab(samples))[..., 1:]
    chroma = np.linalg.norm(colours, axis=-1)
    assert (chroma.mean(axis=(1, 2)) > 2.0).all()
    assert chroma.mean() < 30.0
    assert np.abs(colours[0] - colours[1]).mean() > 0.5
    lightness = np.asarray(rgb_to_lightness(samples))
    np.testing.assert_allclose(lightness, given[None].repeat(3, 0), atol=0.02)
    # A cat is not blue.
    assert colours[..., 1].mean() > 0.0


def test_temperature_scales_the_codes(make_tim):
    tim = make_tim(quick=True)
    inputs = pictures()
    for batch_size in (1, 2):
        calm = tim.sample(
            inputs, 2, seed=1, batch_size=batch_size, temperature=0.0
        )
        np.testing.assert_array_equal(calm[0, 0], calm[0, 1])
        warm = tim.sample(
            inputs, 2, seed=1, batch_size=batch_size, temperature=0.5
        )
        codes = tim.draw_codes(inputs, 2, seed=1, temperature=0.5)
        np.testing.assert_allclose(
            tim.decode(inputs, codes)[-1], warm[0], atol=1e-5
        )
    with pytest.raises(ValueError, match="`temperature`"):
        tim.sample(inputs, 1, temperature=-1.0)


def test_presets_without_training_are_read(preset):
    _, folder = preset
    path = folder / "config.json"
    config = json.loads(path.read_text())
    del config["training"]
    path.write_text(json.dumps(config))
    assert read_preset(folder)["training"] == {}


def test_what_a_model_is_known_by_is_not_its_name():
    first, second = (load_run("super_resolution_x4_lite") for _ in range(2))
    assert first.name != second.name
    assert fingerprint(first) == fingerprint(second)
    second.weights[0].assign_add(second.weights[0] + 1.0)
    assert fingerprint(first) != fingerprint(second)


@pytest.mark.parametrize(
    ("name", "degraded"),
    [
        ("super_resolution_x4_photos", True),
        ("super_resolution_x4_lite", False),
    ],
)
def test_a_preset_says_what_inputs_it_learned(name, degraded):
    assert TIM.data_settings(name).get("degraded", False) == degraded
    settings = RunSettings.of_task(
        "super_resolution", preset=shipped_name(name)
    )
    assert settings.degraded == degraded


def test_only_presets_with_weights_have_a_shipped_name(tmp_path):
    assert shipped_name(tmp_path) is None
    assert shipped_name("super_resolution_x4_nano") is None
