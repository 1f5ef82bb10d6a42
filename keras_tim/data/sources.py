"""How sources of pictures are named: folders, and TensorFlow data sets."""

import os
import re

TFDS_PREFIX = "tfds:"
# NAME[/CONFIG][:VERSION][:SPLIT]
_SOURCE = re.compile(
    r"(?P<name>[^:]+(:\d+(\.(\d+|\*)){0,2})?)(:(?P<split>[^:\d].*))?"
)


def is_tfds(source):
    """Whether a source of pictures is a TensorFlow data set."""
    return isinstance(source, str) and source.startswith(TFDS_PREFIX)


def parse_tfds(source):
    """Takes the name of a TensorFlow data set apart.

    Args:
        source: Str, such as `"tfds:NAME:SPLIT"`.

    Returns:
        The name, with a configuration and a version if there are any, and the
        split or `None`; `(None, None)` where the data set is not named so.
    """
    match = _SOURCE.fullmatch(source.removeprefix(TFDS_PREFIX))
    return (match["name"], match["split"]) if match else (None, None)


def same_source(data, other):
    """Whether all pictures of a source are those of another one, too.

    Args:
        data: Str, a folder or `"tfds:NAME:SPLIT"`. A data set without a split
            stands for what is held out of it.
        other: Str, which without a split stands for all of it; or `None`.

    Returns:
        Bool.
    """
    if other is None:
        return False
    if is_tfds(data):
        _, split = parse_tfds(data)
        return split is not None and data in (other, f"{other}:train")
    return data == other or os.path.realpath(data) == os.path.realpath(other)
