"""Files written whole or not at all."""

import contextlib
import functools
import json
import os
import uuid

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

# Hidden, so that nothing takes such a file for a result. Short, so that it fits
# wherever the name of the finished file does.
_PREFIX = ".keras_tim-"


@contextlib.contextmanager
def written(path):
    """Gives a temporary path to write to, which then becomes `path`.

    The temporary file lies in the same folder, under a name of its own for
    every process and call. Once the block has ended its content is on the disk
    and it is renamed; after an error it is removed. Whenever the process dies,
    the old file or the new one is there, whole. What a killed process left
    is removed with the next file written there.

        with written("model.keras") as temporary:
            model.save(temporary)

    Args:
        path: Path of the file. Its folder must exist.

    Yields:
        The temporary path as a string, with the suffix of `path`: an empty
        file, which the block writes to and closes.

    Raises:
        OSError: If the file cannot be written; what was there stays.
    """
    path = os.fspath(path)
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f"Cannot write `{path}`: its folder does not exist. Create "
            f"`{folder}` first."
        )
    _remove_leftovers(os.path.realpath(folder))
    temporary = lock = None
    try:
        temporary, lock = _created(folder, os.path.splitext(path)[1])
        yield temporary
        _to_disk(temporary)
        os.replace(temporary, path)
    except BaseException as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        # Files that the block read are not what could not be written.
        named = os.path.basename(getattr(error, "filename", None) or _PREFIX)
        if isinstance(error, OSError) and named.startswith(_PREFIX):
            raise OSError(
                error.errno,
                f"Cannot write `{path}`: {error.strerror or error}",
            ) from error
        raise
    finally:
        if lock is not None:
            os.close(lock)
    _to_disk(folder)


def write_bytes(path, content):
    """Writes bytes, see `written`.

    Args:
        path: Path of the file.
        content: `bytes`.

    Raises:
        OSError: If the file cannot be written; what was there stays.
    """
    with written(path) as temporary, open(temporary, "wb") as file:
        file.write(content)


def write_text(path, content):
    """Writes text as UTF-8, see `written`.

    Args:
        path: Path of the file.
        content: `str`.

    Raises:
        OSError: If the file cannot be written; what was there stays.
    """
    # File names that are no UTF-8 come back as they are on the disk.
    write_bytes(path, content.encode("utf-8", "surrogateescape"))


def write_json(path, content):
    """Writes JSON, see `written`.

    Args:
        path: Path of the file.
        content: What `json.dumps` takes.

    Raises:
        OSError: If the file cannot be written; what was there stays.
    """
    write_text(path, json.dumps(content, indent=2) + "\n")


def read_json(path):
    """Reads a JSON file.

    Args:
        path: Path of the file.

    Returns:
        Its content.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If the file is damaged.
    """
    with open(path, encoding="utf-8") as file:
        try:
            return json.load(file)
        # A deeply nested list exhausts the parser's stack.
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path} is damaged: {error}") from error


def save_model(model, path):
    """Saves a Keras model, see `written`.

    Args:
        model: A `keras.Model`.
        path: Path of the file, ending in `.keras`.

    Raises:
        OSError: If the file cannot be written; what was there stays.
    """
    with written(path) as temporary:
        model.save(temporary)


def _created(folder, suffix):
    """A new temporary file, and a lock that lives as long as its writer."""
    if len(suffix) > 20:  # only a dot within a long name
        suffix = ""
    while True:
        temporary = os.path.join(folder, f"{_PREFIX}{uuid.uuid4().hex}{suffix}")
        lock = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        if fcntl is None:
            return temporary, lock
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            return temporary, lock
        # Another process may have taken it for a leftover before the lock.
        if os.fstat(lock).st_nlink:
            return temporary, lock
        os.close(lock)


@functools.lru_cache(maxsize=64)
def _remove_leftovers(folder):
    """Removes temporary files of processes that are no more.

    Once per process and folder: listing large folders takes time.
    """
    if fcntl is None:
        return
    leftovers = []
    # A folder may be written, but not listed.
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        leftovers = [e.path for e in entries if e.name.startswith(_PREFIX)]
    for path in leftovers:
        # A lock that cannot be had is held by whoever is writing.
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(path)
            finally:
                os.close(descriptor)


def _to_disk(path):
    """Waits until a file or a folder is on the disk."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # a folder that may be written, but not listed
        return
    try:
        os.fsync(descriptor)
    except OSError:
        # Some file systems cannot do it for folders.
        if os.path.isfile(path):
            raise
    finally:
        os.close(descriptor)
