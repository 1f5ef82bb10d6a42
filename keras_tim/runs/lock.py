"""A lock file: one process at a time in a run folder."""

import contextlib
import os

from absl import logging

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LOCK_FILE = ".lock"


@contextlib.contextmanager
def locked(folder):
    """Keeps other processes out of a folder, which is made if missing.

    The system takes the lock away from a process that dies. A folder that was
    made here and remains empty is removed again.

    Args:
        folder: Path of the folder.

    Raises:
        RuntimeError: If another process is in it.
        OSError: If the folder cannot be made or written to.
    """
    made = not os.path.isdir(folder)
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, LOCK_FILE)
    descriptor = _acquired(path, folder)
    try:
        yield
    finally:
        # Removed before it is let go: nobody else's lock is removed so.
        with contextlib.suppress(OSError):
            os.remove(path)
        os.close(descriptor)
        if made:
            with contextlib.suppress(OSError):  # it is not empty
                os.rmdir(folder)


def _acquired(path, folder):
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if not _try_lock(descriptor, folder):
                holder = os.read(descriptor, 20).decode(errors="replace")
                raise RuntimeError(
                    f"Another process{f' ({holder})' if holder else ''} is "
                    f"training in {folder}. Wait for it, stop it, or choose "
                    "another folder."
                )
            # The file may have been removed by its holder in between.
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                os.truncate(descriptor, 0)
                os.write(descriptor, str(os.getpid()).encode())
                return descriptor
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _try_lock(descriptor, folder):
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        logging.warning(
            "%s cannot be locked (%s): see to it that no other process trains "
            "there.",
            folder,
            error.strerror,
        )
    return True
