import json

import pytest

from keras_tim.models.presets import REGRESSION_WITHOUT, VANILLA_WITHOUT
from keras_tim.recipes import get_recipe
from keras_tim.runs import RunSettings, load_settings


def test_none_stands_for_the_tasks_own():
    settings = RunSettings.of_task("super_resolution", steps=7, preset=None)
    own = get_recipe("super_resolution").defaults
    assert settings == RunSettings(**{**own, "steps": 7})
    assert settings.enlarged == own["enlarged"] != RunSettings().enlarged


def test_numbers_of_candidates_fit_the_preset():
    def candidates(**chosen):
        return RunSettings.of_task("layout_synthesis", **chosen).candidates

    own = candidates()
    assert len(own) == 3
    paper = candidates(preset="layout_synthesis_paper")
    assert paper == (*own, own[-1], own[-1])
    asked = {"num_samples": (5, 2), "preset": "layout_synthesis_paper"}
    assert candidates(**asked) == (5, 2)


def test_parts_left_out_become_arguments():
    vanilla = RunSettings(without=VANILLA_WITHOUT)
    assert vanilla.sampling == "vanilla"
    assert vanilla.candidates == vanilla.num_samples
    assert vanilla.model_switches == {
        "mapping_network": False,
        "intermediate_supervision": False,
        "weight_norm": False,
    }
    by_level = {"num_samples": (8, 20, 4)}
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
    left_out = RunSettings(without=("mapping_network",), **mapped)
    assert left_out.model_switches == {"mapping_network": False}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"task": "origami"}, "origami"),
        ({"preset": "huge"}, "huge"),
        ({"without": ("luck",)}, "'luck'"),
        ({"dtype": "float8"}, "mixed_bfloat16.*'float8'"),
    ],
)
def test_refuses(settings, message):
    with pytest.raises(ValueError, match=message):
        RunSettings(**settings)


def test_settings_come_back_from_the_folder(tmp_path):
    settings = RunSettings(
        held_out=("a", "b"),
        without=("codes",),
        num_samples=(8, 4),
        residual_channels=(16, 8),
    )
    (tmp_path / "config.json").write_text(
        json.dumps({"settings": settings.jsonable()})
    )
    assert load_settings(tmp_path) == settings
    assert load_settings(tmp_path / "model.keras") is None


@pytest.mark.parametrize("content", ["{", "{}", '{"settings": {"colour": 1}}'])
def test_damaged_settings_are_named(content, tmp_path):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"config\.json is damaged"):
        load_settings(tmp_path)
