"""Archives whose sizes are checked before anything is unpacked."""

import gzip
import os
import tarfile
import zipfile

# Weights hardly compress: an archive that unpacks to more than this many times
# its own size is none of them, unless it is small.
_MOST_EXPANSION = 2
_SMALL = 64 * 2**20


def open_zip(file):
    """Opens a zip archive, if its members unpack to no more than they may.

    Together they may have twice the size of the file, or 64 MiB. So no small
    file takes much memory, whether by compression or by members that share
    their bytes.

    Args:
        file: path or binary file.

    Returns:
        A `zipfile.ZipFile`. Read its members by `read_member`.

    Raises:
        OSError: if the file cannot be read.
        zipfile.BadZipFile: if it is damaged or no archive.
        ValueError: if it would unpack to more.
    """
    archive = zipfile.ZipFile(file)
    try:
        allowed = most_bytes(archive.fp)
        total = sum(info.file_size for info in archive.infolist())
        if total > allowed:
            raise ValueError(
                f"its members claim to unpack to {total} bytes; at most "
                f"{allowed} are allowed"
            )
    except BaseException:
        archive.close()
        raise
    return archive


def most_bytes(file):
    """How many bytes a file may unpack to, see `open_zip`.

    Args:
        file: binary file.

    Returns:
        int.
    """
    place = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(place)
    return max(_SMALL, _MOST_EXPANSION * size)


def read_member(archive, name):
    """Reads a member of an archive, and no more than the directory says.

    Args:
        archive: `zipfile.ZipFile` from `open_zip`.
        name: str.

    Returns:
        bytes.

    Raises:
        KeyError: if there is no such member.
        zipfile.BadZipFile: if it is damaged.
    """
    info = archive.getinfo(name)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # Others unpack a whole block at a time, however large it is.
        raise zipfile.BadZipFile(
            f"{name} is compressed in another way than by deflate"
        )
    with archive.open(info) as stream:
        # Without a length all that is compressed would be unpacked at once.
        content = stream.read(info.file_size)
    if len(content) != info.file_size:
        raise zipfile.BadZipFile(f"{name} ends too early")
    return content


def read_tar_member(path, name):
    """Reads a member of a `.tar.gz` archive, as far as `open_zip` would.

    Args:
        path: path of the archive.
        name: str.

    Returns:
        bytes.

    Raises:
        OSError: if the file cannot be read or is damaged.
        ValueError: if it holds no such file, or would unpack to more.
    """
    with open(path, "rb") as file, gzip.open(file) as unpacked:
        limited = _Limited(unpacked, most_bytes(file))
        with tarfile.open(fileobj=limited, mode="r:") as archive:
            place = -1
            for entry in archive:
                # A negative size would lead back to the same entry for ever.
                if entry.offset <= place:
                    raise ValueError("its entries go back")
                place = entry.offset
                # What sparse files leave out takes memory all the same.
                plain = entry.isreg() and not entry.issparse()
                if entry.name == name and plain:
                    return archive.extractfile(entry).read()
    raise ValueError(f"it holds no file {name}")


class _Limited:
    """A file that refuses to be read beyond a place."""

    def __init__(self, file, most):
        self._file = file
        self._most = most
        self.tell = file.tell

    def read(self, size):
        if size < 0:  # as much as there is
            raise ValueError("a size in it is negative")
        self._check(self.tell() + size)
        return self._file.read(size)

    def seek(self, place):
        self._check(place)
        return self._file.seek(place)

    def _check(self, place):
        if place > self._most:
            raise ValueError(
                f"it unpacks to more than the {self._most} bytes allowed"
            )
