import json

import pytest

from keras_tim.files import write_json
from keras_tim.models.presets import (
    REGRESSION_WITHOUT,
    VANILLA_WITHOUT,
    preset_training,
)
from keras_tim.runs import RunSettings, load_settings


def test_none_stands_for_the_presets_own():
    settings = RunSettings.of_task("super_resolution", steps=7, preset=None)
    own = preset_training("super_resolution_x4_nano")
    assert settings == RunSettings(**{**own, "steps": 7})
    assert settings.enlarged == own["enlarged"] != RunSettings().enlarged
    assert settings.changes() == {"steps": (1000, 7)}


def test_a_preset_brings_its_training():
    def of(**chosen):
        return RunSettings.of_task("decompression", **chosen)

    paper = of(preset="decompression_paper")
    for name, value in {
        "distance": "lpips_vgg",
        "candidates": 120,
        "images_per_selection": 320,
        "steps_per_selection": 10_000,
        "mini_batch_size": 1,
        "learning_rate": 1e-4,
        "last_rate": 1.0,
        "beta_2": 0.999,
        "epsilon": 1e-8,
        "pixel_weight": 0.0,
        "crop_size": 256,
    }.items():
        assert getattr(paper, name) == value, name
    assert paper.changes() == {}
    wide = of(
        preset="decompression_paper",
        num_candidates=8,
        residual_channels=(8,) * 4,
        without=("weight_norm",),
    )
    assert wide.changes() == {
        "num_candidates": (120, 8),
        "residual_channels": ((128, 64, 64, 64), (8, 8, 8, 8)),
        "weight_norm": (None, False),
    }


def test_description_tells_what_is_changed():
    settings = RunSettings.of_task(
        "super_resolution",
        preset="super_resolution_x16_paper",
        num_candidates=8,
        without=("weight_norm",),
    )
    first, *changed = settings.description().splitlines()
    assert first.startswith("super_resolution_x16_paper comes with ")
    assert "distance=lpips_vgg" in first
    assert "num_candidates" not in first
    assert changed == [
        "Changed: num_candidates=8 in place of 120.",
        "Changed: weight_norm=False.",
    ]
    assert "Changed" not in RunSettings.of_task("mnist").description()


def test_numbers_of_candidates_fit_the_preset():
    def candidates(**chosen):
        return RunSettings.of_task("layout_synthesis", **chosen).candidates

    assert candidates() == (32, 8, 4)
    assert candidates(preset="layout_synthesis_small") == (32, 8, 4, 4)
    assert candidates(preset="layout_synthesis_paper") == 120
    asked = {"num_candidates": (5, 2), "preset": "layout_synthesis_paper"}
    assert candidates(**asked) == (5, 2)


def test_parts_left_out_become_arguments():
    vanilla = RunSettings(without=VANILLA_WITHOUT)
    assert vanilla.sampling == "vanilla"
    assert vanilla.candidates == vanilla.num_candidates
    assert vanilla.model_switches == {
        "mapping_network": False,
        "intermediate_supervision": False,
        "weight_norm": False,
    }
    by_level = {"num_candidates": (8, 20, 4)}
    assert RunSettings(**by_level).candidates == (8, 20, 4)
    assert RunSettings(without=VANILLA_WITHOUT, **by_level).candidates == 20
    regression = RunSettings(without=REGRESSION_WITHOUT, **by_level)
    assert regression.sampling is None
    assert regression.candidates == 1
    assert regression.model_switches == {"stochastic": False}
    assert RunSettings().model_switches == {}
    mapped = {"mapping_network": True}
    assert RunSettings(**mapped).model_switches == mapped
    wide = {"residual_channels": (8, 6), "growth_channels": (4, 3)}
    assert RunSettings(**wide).model_switches == wide
    for name, skip in (("none", False), ("previous", True), ("own", "own")):
        skipping = RunSettings.of_task("paired_images", input_skip=name)
        assert skipping.model_switches == {"input_skip": skip}
    left_out = RunSettings(without=("mapping_network",), **mapped)
    assert left_out.model_switches == {"mapping_network": False}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"task": "origami"}, "origami"),
        ({"preset": "huge"}, "huge"),
        ({"without": ("luck",)}, "'luck'"),
        ({"dtype": "float8"}, "mixed_bfloat16.*'float8'"),
        ({"input_skip": "all"}, "`input_skip` must be .*'all'"),
    ],
)
def test_refuses(settings, message):
    with pytest.raises(ValueError, match=message):
        RunSettings(**settings)


def test_settings_come_back_from_the_folder(tmp_path):
    settings = RunSettings(
        held_out=("a", "b"),
        without=("codes",),
        num_candidates=(8, 4),
        residual_channels=(16, 8),
        input_skip="own",
    )
    (tmp_path / "config.json").write_text(
        json.dumps({"settings": settings.jsonable()})
    )
    assert load_settings(tmp_path) == settings
    assert load_settings(tmp_path / "model.keras") is None


def test_runs_from_before_a_setting_existed_are_loaded(tmp_path):
    settings = RunSettings.of_task("colourization").jsonable()
    for newer in ("epsilon", "last_rate"):
        del settings[newer]
    (tmp_path / "config.json").write_text(json.dumps({"settings": settings}))
    # They were trained with Keras' epsilon and along a cosine.
    assert load_settings(tmp_path) == RunSettings.of_task("colourization")


@pytest.mark.parametrize("content", ["{", "{}", '{"settings": {"colour": 1}}'])
def test_damaged_settings_are_named(content, tmp_path):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"config\.json is damaged"):
        load_settings(tmp_path)


def test_what_is_gone_on_with_brings_its_training_along(tmp_path):
    settings = RunSettings.of_task(
        "super_resolution", start="super_resolution_x4_lite"
    )
    assert settings.preset == "super_resolution_x4_lite"
    assert settings.distance == "lpips_vgg+0.5*lpips_alex"
    assert "0.5*lpips_alex" in settings.description()
    chosen = RunSettings.of_task(
        "super_resolution", start=str(tmp_path), steps=3
    )
    assert chosen.preset == "super_resolution_x4_nano"


def test_earlier_names_are_understood(tmp_path):
    settings = RunSettings.of_task("super_resolution", num_samples=3)
    assert settings.num_candidates == 3
    stored = settings.jsonable()
    stored["num_samples"] = stored.pop("num_candidates")
    write_json(str(tmp_path / "config.json"), {"settings": stored})
    assert load_settings(tmp_path) == settings
