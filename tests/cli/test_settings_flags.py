import dataclasses

import pytest
from absl import flags

from keras_tim.cli.main import main
from keras_tim.cli.settings_flags import (
    chosen_settings,
    define_settings_flags,
)
from keras_tim.evaluation import EvaluationSettings
from keras_tim.options import check_options, option, options_of
from keras_tim.runs import RunSettings


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of every kind that there is."""

    shape: str = option("round", "of the thing", choices=("round", "square"))
    task: str | None = option(None, "of it", names=lambda: ["colourization"])
    count: int = option(3, "how many", least=1, most=9)
    rate: float | None = option(None, "how fast")
    widths: int | tuple[int, ...] = option(8, "of each", least=1)
    bounds: tuple[float, ...] = option((0.5, 1.0), "between them")
    names: tuple[str, ...] = option((), "of them")
    parts: tuple[str, ...] = option((), "of it", choices=("a", "b"))
    wanted: bool | None = option(None, "or not")

    def __post_init__(self):
        check_options(self)


def parsed(*argv, **arguments):
    values = flags.FlagValues()
    define_settings_flags(values, Settings, **arguments)
    values(["test", *argv])
    return values


def test_without_flags_settings_are_the_defaults():
    assert Settings(**chosen_settings(parsed(), Settings)) == Settings()


def test_flags_become_values_of_the_fields_types():
    values = parsed(
        "--shape=square",
        "--task=colorization",
        "--count=4",
        "--rate=1e-3",
        "--widths=16, 8",
        "--bounds=0.25",
        "--names=x,y",
        "--parts=b",
        "--parts=a",
        "--nowanted",
    )
    assert chosen_settings(values, Settings) == {
        "shape": "square",
        "task": "colourization",
        "count": 4,
        "rate": 1e-3,
        "widths": (16, 8),
        "bounds": (0.25,),
        "names": ("x", "y"),
        "parts": ("b", "a"),
        "wanted": False,
    }
    assert chosen_settings(parsed("--widths=5"), Settings)["widths"] == 5


@pytest.mark.parametrize(
    "argument",
    ["--shape=flat", "--task=origami", "--count=0", "--count=10", "--parts=c"],
)
def test_what_a_field_rules_out_its_flag_refuses(argument):
    with pytest.raises(flags.IllegalFlagValueError):
        parsed(argument)


@pytest.mark.parametrize("argument", ["--widths=4,many", "--bounds=wide"])
def test_lists_of_numbers_hold_numbers(argument):
    name, text = argument.split("=")
    with pytest.raises(ValueError, match=f"{name} must be .*'{text}'"):
        chosen_settings(parsed(argument), Settings)


def test_defaults_and_texts_may_be_others():
    values = parsed(defaults={"count": 5}, texts={"count": "a", "rate": "b"})
    assert set(values) >= {"count", "rate"}
    assert not set(values) & {"shape", "names"}
    assert (values.count, values.rate) == (5, None)
    assert "how many" not in values.get_help()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"shape": "flat"}, "`shape` must be one of .*'flat'"),
        ({"count": 10}, "`count` must be an integer from 1 to 9"),
        ({"count": 2.5}, "`count`"),
        ({"widths": (4, 0)}, r"`widths\[1\]`"),
        ({"parts": ("a", "c")}, "`parts` must be among .*'c'"),
    ],
)
def test_values_that_fields_rule_out(wrong, message):
    with pytest.raises(ValueError, match=message):
        Settings(**wrong)


@pytest.mark.parametrize(
    ("command", "settings"),
    [("train", RunSettings), ("evaluate", EvaluationSettings)],
)
def test_every_setting_has_its_flag_and_its_help(command, settings, capsys):
    assert main([command, "--help"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    for field in options_of(settings):
        no = "[no]" if field.type is bool else ""
        assert f"--{no}{field.name}: " in printed
        assert field.text in printed, field.name
