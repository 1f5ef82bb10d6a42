"""Fields of settings that say what they are: for flags and for checks."""

import dataclasses
import functools
import types
import typing
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_tim.checks import integer, integers


@dataclasses.dataclass(frozen=True)
class Option:
    """One field of settings.

    Attributes:
        name: str.
        default: its default.
        text: what `--help` says of it.
        type: bool, int, float or str: that of the value, or of each of many.
        one: bool, whether it may be a single value.
        many: bool, whether it may be a tuple of them.
        least: the smallest integer allowed, or None.
        most: the largest one, or None.
        choices: tuple of the values there are, or None.
        names: function without arguments that gives the names there are,
            which may be spelled otherwise; or None.
    """

    name: str
    default: Any
    text: str
    type: type
    one: bool
    many: bool
    least: int | None = None
    most: int | None = None
    choices: tuple | None = None
    names: Callable | None = None


def option(
    default: Any,
    text: str,
    least: int | None = None,
    most: int | None = None,
    choices: tuple | None = None,
    names: Callable | None = None,
) -> Any:
    """A field of a dataclass of settings; see `Option` for the arguments."""
    return dataclasses.field(
        default=default,
        metadata={
            "text": text,
            "least": least,
            "most": most,
            "choices": choices,
            "names": names,
        },
    )


@functools.cache
def options_of(settings: type) -> tuple[Option, ...]:
    """The fields of settings.

    Args:
        settings: a dataclass whose fields are made by `option`.

    Returns:
        Tuple of `Option`.
    """
    hints = typing.get_type_hints(settings)
    found = []
    for field in dataclasses.fields(settings):
        hint = hints[field.name]
        parts = {hint}
        if isinstance(hint, types.UnionType):
            parts = set(typing.get_args(hint)) - {types.NoneType}
        many = {part for part in parts if typing.get_origin(part) is tuple}
        (kind,) = {
            *(parts - many),
            *(typing.get_args(part)[0] for part in many),
        }
        found.append(
            Option(
                field.name,
                field.default,
                type=kind,
                one=parts > many,
                many=bool(many),
                **field.metadata,
            )
        )
    return tuple(found)


def check_options(settings: Any):
    """Makes integers Python's own, and raises where a value is none of these.

    Args:
        settings: a frozen dataclass whose fields are made by `option`.

    Raises:
        ValueError: if an integer or a choice is not as its field says.
    """
    for field in options_of(type(settings)):
        value = getattr(settings, field.name)
        if value is None:
            continue
        if field.type is int:
            # They are written to JSON, which takes Python's integers alone.
            if np.ndim(value):
                value = integers(field.name, value, field.least)
            else:
                value = integer(field.name, value, field.least, field.most)
            object.__setattr__(settings, field.name, value)  # it is frozen
        elif field.choices:
            given = value if field.many else [value]
            if not set(given) <= set(field.choices):
                raise ValueError(
                    f"`{field.name}` must be "
                    f"{'among' if field.many else 'one of'} "
                    f"{field.choices}. Received: {field.name}={value!r}"
                )
