"""Packages and names that are imported when they are first asked for."""

import importlib
import os
import sys


def lazy_names(package, names_of, modules=()):
    """What a package needs to import its names late (PEP 562).

    Args:
        package: str, its `__name__`.
        names_of: dict from a module to the names that it defines.
        modules: names of modules of the package that are names, too.

    Returns:
        Tuple of the package's `__getattr__` and `__dir__`.
    """
    places = {
        **{name: f"{package}.{name}" for name in modules},
        **{name: m for m, defined in names_of.items() for name in defined},
    }

    def get(name):
        if name not in places:
            raise AttributeError(
                f"module {package!r} has no attribute {name!r}"
            )
        found = importlib.import_module(places[name])
        if name not in modules:
            found = getattr(found, name)
        setattr(sys.modules[package], name, found)
        return found

    def names():
        return sorted({*vars(sys.modules[package]), *places})

    return get, names


class LazyModule:
    """Stands for a package that takes seconds to import, until it is used.

    Args:
        name: str, such as "tensorflow".
    """

    def __init__(self, name):
        self._name = name

    def __getattr__(self, attribute):
        found = getattr(importlib.import_module(self._name), attribute)
        setattr(self, attribute, found)
        return found


# Layers, the tower and selection come up with whatever backend Keras is told
# to use, also where there is no TensorFlow.
tensorflow = LazyModule("tensorflow")
jax = LazyModule("jax")
# Settings and flags are known without it.
keras = LazyModule("keras")
# Few need these.
keras_cv = LazyModule("keras_cv")
tensorflow_datasets = LazyModule("tensorflow_datasets")


def is_command():
    """Whether this process is `keras-tim`, which has to answer at once.

    Where that is not told from how the process was started, a command is
    slower to begin, and nothing else.
    """
    arguments = getattr(sys, "argv", None) or [""]
    program, ending = os.path.splitext(os.path.basename(arguments[0]))
    if program == "keras-tim" and ending in ("", ".exe"):
        return True
    as_module = ["-m", "keras_tim.cli.main"]
    started = sys.orig_argv
    return arguments[0] == "-m" and any(
        started[place : place + 2] == as_module for place in range(len(started))
    )
