"""Picture files: read, written and listed with Pillow."""

import os
import pathlib
import tempfile

import numpy as np
from PIL import Image, ImageOps

from keras_tim.checks import check_unit_range, is_floating

PICTURE_SUFFIXES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".bmp",
    ".webp",
    ".tif",
    ".tiff",
    ".gif",
)
_WRITERS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
_GREY_16_BIT = ("I", "I;16", "I;16L", "I;16B", "I;16N")
_WITH_ALPHA = ("RGBA", "RGBa", "LA", "La", "PA")


class PictureError(ValueError):
    """A picture file that cannot be used; the message names the file."""


def read_picture(path, dtype="float32"):
    """Reads a picture file as RGB.

    The EXIF orientation is honoured. Gray, palette and CMYK pictures become
    RGB. Transparent pixels are laid over white, as a browser or a sheet of
    paper would show them. Of an animation the first frame is read. Gray
    pictures of 16 bits keep their precision; Pillow reads 16-bit colour at 8.

    Args:
        path: Path of the file.
        dtype: `"float32"` for values in `[0, 1]`, or `"uint8"` for values in
            `[0, 255]`.

    Returns:
        An array of shape `(height, width, 3)`.

    Raises:
        PictureError: If the file is missing, empty, truncated, too large or
            not a picture.
    """
    if dtype not in ("float32", "uint8"):
        raise ValueError(
            f'`dtype` must be "float32" or "uint8". Received: dtype={dtype!r}'
        )
    pixels = decode_picture(
        path,
        lambda image: _as_rgb_array(ImageOps.exif_transpose(image), path),
    )
    if dtype == "uint8":
        if pixels.dtype == np.uint8:
            return pixels
        return np.rint(pixels * 255.0).astype(np.uint8)
    if pixels.dtype == np.uint8:
        return pixels.astype(np.float32) / np.float32(255.0)
    return pixels


def decode_picture(path, convert):
    """Decodes a picture file, and says what is wrong with it.

    Args:
        path: Path of the file.
        convert: Function of the decoded `PIL.Image.Image`.

    Returns:
        What `convert` returned.

    Raises:
        PictureError: If the file is missing, empty, truncated, too large or
            not a picture.
    """
    path = _existing_file(path)
    try:
        with Image.open(path) as image:
            image.load()
            return convert(image)
    except PictureError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as e:
        raise PictureError(_too_large(path)) from e
    except MemoryError as error:
        raise PictureError(
            f"Cannot read `{path}`: not enough memory to decode it. Reduce "
            "the picture before using it."
        ) from error
    # A damaged file may raise nearly anything from within its decoder.
    except Exception as error:
        raise PictureError(_unreadable(path, error)) from error


def picture_size(path):
    """Reads the size of a picture from its header, without decoding it.

    Args:
        path: Path of the file.

    Returns:
        `(height, width)` as the picture is shown, after EXIF orientation
        (where a PNG file keeps it before its pixels, as is usual).

    Raises:
        PictureError: If the file is missing, empty, too large or not a
            picture.
    """
    path = _existing_file(path)
    try:
        with Image.open(path) as image:
            width, height = image.size
            # The base class' method: that of PNG files decodes the picture to
            # look for EXIF data behind it.
            exif = Image.Image.getexif(image)
            # 0x0112 is the orientation; 5 to 8 lie on their side.
            sideways = exif.get(0x0112, 1) in (5, 6, 7, 8)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as e:
        raise PictureError(_too_large(path)) from e
    except Exception as error:
        raise PictureError(_unreadable(path, error)) from error
    return (width, height) if sideways else (height, width)


def write_picture(path, image):
    """Writes a picture as PNG or JPEG, chosen by the suffix of `path`.

    The file appears whole or not at all: it is written under a temporary name
    in the same folder and then renamed.

    Args:
        path: Path of the file, ending in `.png`, `.jpg` or `.jpeg`. Its
            folder must exist.
        image: Float array of shape `(height, width, 3)` in `[0, 1]`, or one
            of `uint8` in `[0, 255]`.

    Raises:
        ValueError: If the suffix or the image is not as described.
        OSError: If the file cannot be written, e.g. on a full disk.
    """
    path = pathlib.Path(path)
    suffix = path.suffix.lower()
    if suffix not in _WRITERS:
        raise ValueError(
            "`path` must end in one of "
            f"{', '.join(_WRITERS)}. Received: path={str(path)!r}"
        )
    pixels = as_uint8(image, "image")
    options = {"quality": 95, "subsampling": 0} if suffix != ".png" else {}
    write_whole(
        path,
        lambda file: Image.fromarray(pixels).save(
            file, format=_WRITERS[suffix], **options
        ),
    )


def write_whole(path, write):
    """Writes a file under a temporary name beside it, then renames it.

    Args:
        path: `pathlib.Path` of the file. Its folder must exist.
        write: Function of the open binary file.

    Raises:
        OSError: If the file cannot be written; what was there stays.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"Cannot write `{path}`: its folder does not exist. Create "
            f"`{path.parent}` first."
        )
    temporary = None
    try:
        descriptor, temporary = tempfile.mkstemp(
            prefix=".", suffix=path.suffix + ".part", dir=path.parent
        )
        with os.fdopen(descriptor, "wb") as file:
            write(file)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException as error:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
        if isinstance(error, OSError):
            reason = error.strerror or error
            raise OSError(
                error.errno, f"Cannot write `{path}`: {reason}"
            ) from error
        raise


def find_pictures(folder):
    """Lists the picture files of a folder and of the folders within it.

    Hidden files and folders are passed over.

    Args:
        folder: Path of the folder.

    Returns:
        A sorted list of paths.

    Raises:
        FileNotFoundError: If there is no such folder, or no picture in it.
        NotADirectoryError: If `folder` is a file.
    """
    folder = pathlib.Path(folder)
    wanted = f"Pictures are looked for by suffix: {' '.join(PICTURE_SUFFIXES)}"
    if not folder.exists():
        raise FileNotFoundError(
            "`folder` must be an existing folder. Received: "
            f"folder={str(folder)!r}, which does not exist. {wanted}"
        )
    if not folder.is_dir():
        raise NotADirectoryError(
            "`folder` must be a folder. Received: "
            f"folder={str(folder)!r}, which is a file. Name the folder that "
            f"holds it. {wanted}"
        )
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            pathlib.Path(parent, name)
            for name in names
            if not name.startswith(".")
            and name.lower().endswith(PICTURE_SUFFIXES)
        ]
    if not found:
        raise FileNotFoundError(
            "`folder` must hold at least one picture. Received: "
            f"folder={str(folder)!r}, which holds none. {wanted}"
        )
    return sorted(found)


def as_uint8(image, name):
    """Validates one RGB image and rounds it to 8 bits.

    Args:
        image: Float array of shape `(height, width, 3)` in `[0, 1]`, or one
            of `uint8`.
        name: What error messages call the image.

    Returns:
        A `uint8` array of the same shape.

    Raises:
        ValueError: If the shape, the type or the values are not as described.
    """
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[-1] != 3 or 0 in image.shape:
        raise ValueError(
            f"`{name}` must have the shape (height, width, 3), neither side "
            f"empty. Received: {name}.shape={image.shape}"
        )
    if image.dtype == np.uint8:
        return image
    if not is_floating(image):
        raise ValueError(
            f"`{name}` must be of a floating type in [0, 1] or of uint8. "
            f"Received: {name}.dtype={image.dtype}"
        )
    image = image.astype(np.float32)
    if not np.isfinite(image).all():
        raise ValueError(
            f"`{name}` must hold finite values only. Received: {name} with "
            f"{int((~np.isfinite(image)).sum())} values that are NaN or "
            "infinite"
        )
    check_unit_range(name, image)
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def _existing_file(path):
    path = pathlib.Path(path)
    if not path.exists():
        raise PictureError(
            f"Cannot read `{path}`: there is no such file. Check the name."
        )
    if not path.is_file():
        raise PictureError(
            f"Cannot read `{path}`: it is not a file. Name a picture in it."
        )
    try:
        size = path.stat().st_size
    except OSError as error:
        raise PictureError(_unreadable(path, error)) from error
    if size == 0:
        raise PictureError(
            f"Cannot read `{path}`: the file is empty (0 bytes). Copy or "
            "download it again."
        )
    return path


def _as_rgb_array(image, path):
    """Returns `uint8`, or `float32` in [0, 1] where 8 bits do not suffice."""
    if 0 in image.size:
        raise PictureError(f"Cannot read `{path}`: the picture has no pixels.")
    if image.mode in _GREY_16_BIT:
        grey = np.asarray(image).astype(np.float32)
        # 32-bit integers have no agreed white; the 16-bit range is the one
        # that Pillow itself decodes into this mode.
        if grey.min() < 0 or grey.max() > 65535:
            raise PictureError(
                f"Cannot read `{path}`: its integer values run from "
                f"{grey.min():g} to {grey.max():g}, beyond 16 bits. Save it "
                "with 8 or 16 bits per channel."
            )
        return np.repeat(grey[..., None] / np.float32(65535.0), 3, axis=-1)
    if image.mode == "F":
        grey = np.asarray(image).astype(np.float32)
        if not (grey.min() >= 0 and grey.max() <= 1):  # NaN fails, too
            raise PictureError(
                f"Cannot read `{path}`: its floating-point values leave "
                "[0, 1]. Rescale them, or save it with 8 or 16 bits."
            )
        return np.repeat(grey[..., None], 3, axis=-1)
    if image.mode in _WITH_ALPHA or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return np.array(image.convert("RGB"))


def _too_large(path):
    return (
        f"Cannot read `{path}`: it claims more than "
        f"{Image.MAX_IMAGE_PIXELS} pixels, which may be an attack that "
        "fills the memory. If it is genuine, reduce it or raise "
        "PIL.Image.MAX_IMAGE_PIXELS."
    )


def _unreadable(path, error):
    if isinstance(error, PermissionError):
        return f"Cannot read `{path}`: permission denied."
    if isinstance(error, Image.UnidentifiedImageError):
        return (
            f"Cannot read `{path}`: it is not a picture that Pillow knows. "
            f"Use one of {' '.join(PICTURE_SUFFIXES)}."
        )
    return (
        f"Cannot read `{path}`: it is truncated or damaged ({error}). Copy or "
        "download it again."
    )


def _umask():
    # The mask can only be read by setting it.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
