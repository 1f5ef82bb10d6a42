import importlib.resources
import inspect
import subprocess
import sys

import keras
import pytest

import keras_tim
from keras_tim.lazy import lazy_names
from keras_tim.recipes import RECIPES
from keras_tim.task_names import TASK_NAMES
from keras_tim.tasks import TASKS

# What files name is registered by the import alone.
IMPORTED = """
import sys
import keras_tim
import keras
names = ["TIM", "LPIPS", "MixedLPIPS", "Hypercolumns", "RRDB", "TowerModule"]
heavy = ["keras_cv", "tensorflow_datasets", "matplotlib", "skimage",
         "tensorboard"]
print([name for name in heavy if name in sys.modules] +
      [name for name in names
       if keras.saving.get_registered_object(f"keras_tim>{name}") is None])
"""


# Commands import these before they know whether they will need Keras.
COMMANDS = """
import sys
sys.argv = ["keras-tim"]
from keras_tim.cli import demo, evaluate, export, film, gallery, rarity, sample
from keras_tim.cli import train, weights
print([name for name in ("PIL", "keras", "tensorflow") if name in sys.modules])
"""


@pytest.mark.parametrize("code", [IMPORTED, COMMANDS])
def test_import_is_light_and_registers(code):
    printed = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed.strip() == "[]"


PACKAGES = [
    "keras_tim",
    "keras_tim.data",
    "keras_tim.evaluation",
    "keras_tim.images",
    "keras_tim.inference",
    "keras_tim.metrics",
    "keras_tim.models",
    "keras_tim.perceptual",
    "keras_tim.recipes",
    "keras_tim.runs",
]


@pytest.mark.parametrize("package", PACKAGES)
def test_names_that_are_imported_late_are_there(package):
    module = __import__(package, fromlist=["__all__"])
    assert set(module.__all__) <= set(dir(module))
    for name in module.__all__:
        called = getattr(getattr(module, name), "__name__", name)
        spelled = name.replace("colorization", "colourization")
        assert called in (spelled, f"{package}.{name}")
    with pytest.raises(AttributeError, match=f"{package}.*'nothing'"):
        module.nothing  # noqa: B018


def test_a_late_name_is_imported_once():
    get, names = lazy_names(__name__, {"keras_tim.data": ["PICTURE"]})
    assert "PICTURE" in names()
    with pytest.raises(AttributeError):
        get("PICTURE")
    get, _ = lazy_names(__name__, {"keras_tim.tim": ["TIM"]})
    assert get("TIM") is keras_tim.TIM is globals()["TIM"]
    assert issubclass(keras_tim.TIM, keras.Model)


def test_tasks_and_recipes_are_those_that_are_named():
    assert list(TASKS) == list(RECIPES) == list(TASK_NAMES)


@pytest.mark.parametrize(
    "package", ["conversion", "evaluation", "export", "runs"]
)
def test_public_functions_are_annotated(package):
    module = getattr(keras_tim, package)
    functions = [getattr(module, name) for name in module.__all__]
    functions = [f for f in functions if inspect.isfunction(f)]
    assert functions
    for function in functions:
        check_annotated(function)


@pytest.mark.parametrize(
    "name",
    [
        "__init__",
        "compile",
        "draw_codes",
        "export",
        "folded",
        "from_preset",
        "full_precision",
        "presets",
        "sample",
        "save_to_preset",
    ],
)
def test_the_model_is_annotated(name):
    check_annotated(getattr(keras_tim.TIM, name))


def check_annotated(function):
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    for parameter in signature.parameters.values():
        if parameter.name not in ("self", "cls"):
            assert parameter.annotation is not inspect.Parameter.empty, (
                f"{function.__qualname__}({parameter.name})"
            )


def test_types_are_told_to_checkers():
    files = importlib.resources.files("keras_tim")
    assert (files / "py.typed").is_file()
