"""Files of a run, written whole or not at all."""

import json
import os


def save_model(model, path):
    """Saves a `.keras` file under a temporary name, then renames it.

    Args:
        model: a `keras.Model`.
        path: str, ending in `.keras`.

    Raises:
        OSError: if the file cannot be written; what was there stays.
    """
    # Keras insists on the ending.
    partial = f"{path.removesuffix('.keras')}.partial.keras"
    with _removed_on_failure(partial, path):
        model.save(partial)


def write_json(path, content):
    """Writes JSON under a temporary name, then renames it.

    Args:
        path: str.
        content: what `json.dump` takes.

    Raises:
        OSError: if the file cannot be written; what was there stays.
    """
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_text(path, content):
    """Writes text under a temporary name, then renames it.

    Args:
        path: str.
        content: str.

    Raises:
        OSError: if the file cannot be written; what was there stays.
    """
    partial = f"{path}.partial"
    with (
        _removed_on_failure(partial, path),
        open(partial, "w", encoding="utf-8") as file,
    ):
        file.write(content)


def read_json(path):
    """Reads a JSON file.

    Args:
        path: str.

    Returns:
        Its content.

    Raises:
        ValueError: if the file is damaged.
    """
    with open(path, encoding="utf-8") as file:
        try:
            return json.load(file)
        except ValueError as error:
            raise ValueError(f"{path} is damaged: {error}") from error


class _removed_on_failure:  # noqa: N801 (reads as a function)
    """Renames `partial` to `path` on success, removes it on failure."""

    def __init__(self, partial, path):
        self._partial = partial
        self._path = path

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if error is None:
            os.replace(self._partial, self._path)
            return
        if os.path.exists(self._partial):
            os.remove(self._partial)
        if isinstance(error, OSError):
            raise OSError(
                error.errno, f"Cannot write {self._path}: {error.strerror}"
            ) from error
