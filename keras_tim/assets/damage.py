"""Turns whatever reading a damaged file raises into one documented error."""

import contextlib


@contextlib.contextmanager
def damage_explained(path, error_class, kind="damaged"):
    """Turns what reading a damaged file raises into one kind of error.

    Args:
        path: what the message calls the file.
        error_class: the exception to raise. Those of this class pass.
        kind: str, what else the file may be: the message says "PATH is KIND".

    Raises:
        error_class: for every error but a lack of memory.
    """
    try:
        yield
    except (MemoryError, error_class):
        raise
    # Zip archives, HDF5 and JSON raise nearly anything when bytes are wrong.
    except Exception as error:
        raise error_class(f"{path} is {kind}: {error}") from error
