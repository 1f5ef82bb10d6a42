"""Picture files: what they are, read, written and listed with Pillow."""

import collections
import contextlib
import dataclasses
import functools
import importlib.util
import io
import os
import pathlib

import numpy as np
from absl import logging
from PIL import ExifTags, Image

from keras_tim.checks import check_unit_range, is_floating
from keras_tim.files import written
from keras_tim.images.deep import is_deep_colour, read_deep_colours
from keras_tim.images.encoders import (
    IN_ROWS,
    WITH_ALPHA,
    WITH_DEPTH,
    WITH_GREY,
    WRITERS,
    encode,
    encode_rows,
    writable_suffixes,
)
from keras_tim.images.records import holds_run, own_names
from keras_tim.images.rows import (
    PictureInRows,
    band_height,
    in_bands,
    whole,
    with_profile,
)
from keras_tim.images.srgb import deep_to_srgb, grey_to_srgb, to_srgb

# Formats by suffix. Pillow goes by the content and knows many more; a file of
# one of those may start a foreign program, or is none that photos come in.
_FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".mpo": "JPEG",  # a JPEG file with more pictures behind the first one
    ".bmp": "BMP",
    ".dib": "DIB",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".gif": "GIF",
    ".avif": "AVIF",
    ".ppm": "PPM",
    ".pgm": "PPM",
    ".pbm": "PPM",
    ".pnm": "PPM",
    ".jp2": "JPEG2000",
    ".j2k": "JPEG2000",
    ".j2c": "JPEG2000",
    ".jpx": "JPEG2000",
    ".tga": "TGA",
}
_HEIF_SUFFIXES = (".heic", ".heif", ".hif")
# Everyday names of picture files that cannot be read, worth a warning.
_UNREADABLE = (
    ".3fr .arw .bpg .cr2 .cr3 .dcm .dng .eps .exr .fits .hdr .ico .iiq .jxl "
    ".jxr .nef .nrw .orf .pdf .pef .psd .qoi .raf .raw .rw2 .srw .svg .xcf"
)
_GREY_16_BIT = ("I;16", "I;16L", "I;16B", "I;16N")
_WITH_ALPHA = ("RGBA", "RGBa", "LA", "La", "PA")
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ON_THEIR_SIDE = (5, 6, 7, 8)
# Chunks of a PNG file that may hold an orientation.
_PNG_METADATA = (b"eXIf", b"iTXt", b"tEXt", b"zTXt")


class PictureError(ValueError):
    """A picture file that cannot be used; the message names the file."""


class EncodedPicture:
    """A picture file that is in memory; it can take the place of a path.

    Args:
        name: What messages call it.
        content: Bytes of the file.
    """

    suffix = ""

    def __init__(self, name, content):
        self.name = name
        self.content = content

    def __str__(self):
        return self.name

    def open(self, mode="rb"):
        """The content as an open file."""
        return io.BytesIO(self.content)


@dataclasses.dataclass(frozen=True)
class Decoded:
    """A picture file, upright, as what it holds.

    Attributes:
        colours: array of shape `(height, width, 3)` in sRGB, `uint8` or, where
            8 bits do not suffice, `float32` in `[0, 1]`; straight, that is not
            multiplied by `alpha`.
        alpha: array of shape `(height, width)` of the same type, 0 where
            nothing is seen; `None` where the file has no transparency.
        grey: bool, whether the file holds no colours.
        stored: array like `colours`, as they are in the file, where its
            profile is of RGB; else `None`.
        profile: ICC profile as bytes, or `None`.
        exif: `PIL.Image.Exif`.
    """

    colours: np.ndarray
    alpha: np.ndarray | None
    grey: bool
    stored: np.ndarray | None
    profile: bytes | None
    exif: Image.Exif


def read_picture(path, dtype="float32", transparent="white"):
    """Reads a picture file as RGB.

    The EXIF orientation is honoured, and an embedded colour profile is
    converted to sRGB. Gray, palette and CMYK pictures become RGB. Transparent
    pixels are laid over white, as a browser or a sheet of paper would show
    them. Of an animation the first frame is read. Gray pictures of 16 bits
    keep their precision, and so do the colours of PNG and TIFF files.

    Args:
        path: Path of the file, or an `EncodedPicture`.
        dtype: `"float32"` for values in `[0, 1]`, or `"uint8"` for values in
            `[0, 255]`.
        transparent: `"white"`, or `"spread"` for who keeps the transparency
            beside the colours: pixels of which nothing is seen then get the
            colours around them, others keep their own.

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
    if transparent not in ("white", "spread"):
        raise ValueError(
            '`transparent` must be "white" or "spread". Received: '
            f"transparent={transparent!r}"
        )
    decoded = read_decoded(path)
    pixels = decoded.colours
    if decoded.alpha is not None:
        combine = _over_white if transparent == "white" else spread_colours
        pixels = combine(pixels, decoded.alpha)
    if dtype == "uint8":
        if pixels.dtype == np.uint8:
            return pixels
        return np.rint(pixels * 255.0).astype(np.uint8)
    return as_float(pixels)


def read_decoded(path):
    """Reads a picture file as what it holds.

    Args:
        path: Path of the file, or an `EncodedPicture`.

    Returns:
        A `Decoded`.

    Raises:
        PictureError: If the file is missing, empty, truncated, too large or
            not a picture.
    """
    with opened_picture(path) as image:
        if is_deep_colour(image):
            name = _existing_file(path)
            values = read_deep_colours(image, name, _formats(name))
            turn = 1 if image.format == "TIFF" else orientation_of(image)
            values = turned(values, turn).astype(np.float32)
            parts = _deep_colours(values / np.float32(65535.0), image, path)
        else:
            scale = _grey_scale(image)
            image = _upright(image)
            parts = _colours_and_alpha(image, scale, path)
        return Decoded(
            *parts,
            profile=image.info.get("icc_profile"),
            exif=_exif(image),
        )


def turned(pixels, orientation):
    """Pixels as an EXIF orientation has them shown.

    Args:
        pixels: Array of shape `(height, width, ...)`.
        orientation: Integer; what is not from 2 to 8 turns nothing.
    """
    if turns_aside(orientation):
        pixels = pixels.swapaxes(0, 1)
    rows = slice(None, None, -1 if orientation in (3, 4, 7, 8) else 1)
    columns = slice(None, None, -1 if orientation in (2, 3, 6, 7) else 1)
    return pixels[rows, columns]


def as_float(pixels):
    """`uint8` pixels as `float32` in `[0, 1]`; others stay as they are."""
    if pixels.dtype == np.uint8:
        return pixels.astype(np.float32) / np.float32(255.0)
    return pixels


def spread_colours(colours, alpha):
    """Gives pixels of which nothing is seen the colours around them.

    What files hold in such places, mostly black, would else be drawn into the
    edges of what is seen. Means are weighted by `alpha`.

    Args:
        colours: Array of shape `(height, width, 3)`, `uint8` or `float32`.
        alpha: Array of shape `(height, width)` of the same type.

    Returns:
        An array like `colours`, the same where `alpha` is not 0.
    """
    if alpha.all() or not alpha.any():
        return colours
    weights = as_float(alpha)[..., None]
    spread = _spread(as_float(colours) * weights, weights)
    if colours.dtype == np.uint8:
        spread = np.rint(spread * 255.0).astype(np.uint8)
    return np.where(alpha[..., None] > 0, colours, spread)


def _spread(sums, weights):
    """Weighted means; where there is no weight, those of a coarser picture."""
    means = sums / np.where(weights > 0, weights, 1)
    if weights.all():
        return means
    height, width = weights.shape[:2]
    odd = ((0, height % 2), (0, width % 2), (0, 0))
    halves = [
        np.pad(x, odd).reshape(
            -(-height // 2), 2, -(-width // 2), 2, x.shape[-1]
        )
        for x in (sums, weights)
    ]
    coarse = _spread(*[x.sum(axis=(1, 3)) for x in halves])
    coarse = coarse.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    return np.where(weights > 0, means, coarse)


def decode_picture(path, convert, least=None):
    """Decodes a picture file, and says what is wrong with it.

    Args:
        path: Path of the file, or an `EncodedPicture`.
        convert: Function of the decoded `PIL.Image.Image`, upright, its
            values as they are in the file.
        least: `(height, width)`: a JPEG file is decoded at a fraction of its
            size that has no less, or `None`.

    Returns:
        What `convert` returned.

    Raises:
        PictureError: If the file is missing, empty, truncated, too large or
            not a picture.
    """
    with opened_picture(path) as image:
        if least is not None:
            image.draft(None, least[::-1])
        return convert(_upright(image))


def picture_size(path):
    """Reads the size of a picture from its header, without decoding it.

    Args:
        path: Path of the file, or an `EncodedPicture`.

    Returns:
        `(height, width)` as the picture is shown, after EXIF orientation.

    Raises:
        PictureError: If the file is missing, empty, too large or not a
            picture.
    """
    if not isinstance(path, EncodedPicture):
        path = pathlib.Path(path)
    with opened_picture(path) as image:
        width, height = image.size
        if image.format == "TIFF":
            # Some versions of Pillow have turned the size already.
            tags = image.tag_v2
            width = tags[ExifTags.Base.ImageWidth]
            height = tags[ExifTags.Base.ImageLength]
            orientation = tags.get(ExifTags.Base.Orientation)
        elif image.format == "PNG" and not _metadata_behind_pixels(path):
            # Pillow's method for PNG files decodes the picture to look there.
            orientation = orientation_of(image, Image.Image.getexif)
        else:
            orientation = orientation_of(image)
    return (width, height) if turns_aside(orientation) else (height, width)


def turns_aside(orientation):
    """Whether an EXIF orientation makes rows of columns."""
    return orientation in _ON_THEIR_SIDE


@contextlib.contextmanager
def opened_picture(path):
    """A picture file whose header is read; what is wrong is explained.

    Args:
        path: Path of the file, or an `EncodedPicture`.

    Yields:
        The `PIL.Image.Image`, not decoded yet.

    Raises:
        PictureError: If the file is missing, empty, too large or not a
            picture; also for what goes wrong while it is open.
    """
    path = _existing_file(path)
    try:
        with (
            path.open("rb") as file,
            Image.open(file, formats=_formats(path)) as image,
        ):
            yield image
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


@functools.cache
def picture_suffixes():
    """Suffixes of the files that `find_pictures` looks for.

    Returns:
        Tuple of strings such as ".png": those that this installation reads.
    """
    known = Image.registered_extensions()
    suffixes = [s for s, name in _FORMATS.items() if name in Image.OPEN]
    # AVIF and JPEG 2000 are registered where their libraries are there.
    return (*(s for s in suffixes if s in known), *_heif_suffixes())


@functools.cache
def _heif_suffixes():
    """HEIC's suffixes where pillow-heif is installed, which then reads it."""
    if importlib.util.find_spec("pillow_heif") is None:
        return ()
    import pillow_heif

    pillow_heif.register_heif_opener()
    return _HEIF_SUFFIXES


def _formats(path):
    """Names of the formats that a file may be in, whatever its suffix says."""
    formats = {_FORMATS[s] for s in picture_suffixes() if s in _FORMATS}
    # Nothing at the beginning of a TGA file says what it is.
    if path.suffix.lower() != ".tga":
        formats.discard("TGA")
    if _heif_suffixes():
        formats.add("HEIF")
    return sorted(formats)


def _upright(image):
    """An open picture decoded and turned as it is shown."""
    image.load()
    # TIFF files are upright once they are loaded.
    turn = _TURNS.get(orientation_of(image))
    return image if turn is None else image.transpose(turn)


def _exif(image):
    """The EXIF data of a loaded picture; empty if they are damaged."""
    try:
        return image.getexif()
    except Exception:
        return Image.Exif()


def orientation_of(image, getexif=None):
    """The EXIF orientation of an open picture, 1 (upright) if in doubt."""
    # Damaged metadata must not cost the picture.
    try:
        exif = image.getexif() if getexif is None else getexif(image)
        return exif.get(ExifTags.Base.Orientation, 1)
    except Exception:
        return 1


def _metadata_behind_pixels(path):
    """Whether a PNG file has more to say after its pixels."""
    with path.open("rb") as file:
        file.seek(8)
        pixels = False
        while len(head := file.read(8)) == 8:
            length, kind = int.from_bytes(head[:4], "big"), head[4:]
            if pixels and kind in _PNG_METADATA:
                return True
            pixels = pixels or kind == b"IDAT"
            file.seek(length + 4, os.SEEK_CUR)  # and the checksum
    return False


def _grey_scale(image):
    """Values of black and white in a picture of one deep channel.

    None where the file does not say: integers of 32 bits, or with a sign, are
    as likely to be 0 to 255 as 0 to 65535.
    """
    white = 1.0 if image.mode == "F" else 65535.0
    if image.format != "TIFF":
        return 0.0, white
    if image.mode == "I":
        return None
    tags = image.tag_v2
    if image.mode != "F":
        # Of 12 bits Pillow gives the numbers as they are.
        bits = tags.get(ExifTags.Base.BitsPerSample, (16,))[0]
        white = float(2**bits - 1)
    # Of 8 bits and less Pillow turns what was stored as a negative.
    if tags.get(ExifTags.Base.PhotometricInterpretation) == 0:
        return white, 0.0
    return 0.0, white


def write_picture(path, image, record=None, original=None):
    """Writes a picture; the suffix of `path` says in which format.

    JPEG, WebP and AVIF are written at a high quality, PNG and TIFF without
    loss. The file appears whole or not at all, see `keras_tim.files.written`.

    Args:
        path: Path of the file, ending in `.png`, `.jpg`, `.webp`, `.tiff` or
            `.avif`. Its folder must exist.
        image: Float array of shape `(height, width, 3)` in `[0, 1]`, or one
            of `uint8` in `[0, 255]`; or a `PictureInRows`, which is never held
            where the format is PNG or JPEG.
        record: Dictionary that JSON can hold: how the picture came about. It
            is stored in the file, which folders are then not searched for:
            see `keras_tim.images.records`. `None` for none.
        original: `keras_tim.images.originals.Original`: the file that the
            picture was made of, of which the new one keeps what its format
            can hold. `None` for plain RGB of 8 bits.

    Raises:
        ValueError: If the suffix or the image is not as described.
        OSError: If the file cannot be written, e.g. on a full disk.
    """
    _written_format(path)
    with written(path) as temporary:
        store_picture(temporary, image, record, original)


def store_picture(path, image, record=None, original=None):
    """As `write_picture`, into a temporary file of one's own.

    Args:
        path: Path of the file, as `keras_tim.files.written` gives one.
        image: As for `write_picture`.
        record: The same.
        original: The same.
    """
    format = _written_format(path)
    can_hold = (
        format in WITH_ALPHA,
        format in WITH_DEPTH,
        format in WITH_GREY,
    )
    if isinstance(image, PictureInRows):
        size = image.size
        parts, profile = _parts(image, original, can_hold)
        pixels = None if format in IN_ROWS else whole(parts, size)
    else:
        pixels, profile = as_uint8(image, "image"), None
        size = pixels.shape[:2]
        if original is not None:
            pixels, profile = original.fitted(np.asarray(image), *can_hold)
    described = () if original is None else original.described(size)
    with open(path, "wb") as file:
        if pixels is None:
            encode_rows(file, parts, size, format, profile, described, record)
        else:
            encode(file, pixels, format, profile, described, record)


def _written_format(path):
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in writable_suffixes():
        raise ValueError(
            "`path` must end in one of "
            f"{', '.join(writable_suffixes())}. Received: path={str(path)!r}"
        )
    return WRITERS[suffix]


def _parts(image, original, can_hold):
    """A picture in rows as its file is to hold it, and the profile."""
    if original is not None:
        return with_profile(
            original.fitted_rows(image.parts, image.size, *can_hold)
        )
    rows = in_bands(image.parts, band_height(image.size[1]))
    return (as_uint8(part, "image") for part in rows), None


def find_pictures(folder):
    """Lists the picture files of a folder and of the folders within it.

    Passed over are hidden files and folders, links to folders, folders within
    it that hold a training run, and pictures that this package wrote:
    alternatives, sheets and maps. What is passed over is logged, but for what
    is hidden.

    Args:
        folder: Path of the folder.

    Returns:
        A sorted list of paths.

    Raises:
        FileNotFoundError: If there is no such folder, or no picture in it.
        NotADirectoryError: If `folder` is a file.
    """
    folder = pathlib.Path(folder)
    wanted = (
        f"Pictures are looked for by suffix: {' '.join(picture_suffixes())}"
    )
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
    found, runs, own, others = [], [], 0, collections.Counter()
    for parent, folders, names in os.walk(folder, onerror=_tell_of_error):
        for name in [name for name in folders if not name.startswith(".")]:
            inside = os.path.join(parent, name)
            if os.path.islink(inside):
                _warn_once(f"Passed over {inside}: a link to a folder.")
            elif holds_run(inside):
                runs.append(inside)
                folders.remove(name)
        folders[:] = [name for name in folders if not name.startswith(".")]
        names = [name for name in names if not name.startswith(".")]
        pictures = [n for n in names if n.lower().endswith(picture_suffixes())]
        others.update(
            os.path.splitext(name)[1].lower()
            for name in set(names).difference(pictures)
        )
        written_here = own_names(parent, pictures)
        own += len(written_here)
        found += [
            pathlib.Path(parent, name)
            for name in pictures
            if name not in written_here
        ]
    _tell_of_others(folder, runs, own, others)
    if not found:
        raise FileNotFoundError(
            "`folder` must hold at least one picture. Received: "
            f"folder={str(folder)!r}, which holds none"
            f"{' but those that this package wrote' if own else ''}. {wanted}"
        )
    return sorted(found)


def _tell_of_others(folder, runs, own, others):
    """Says what of a folder was passed over, and why."""
    if runs:
        _warn_once(
            f"Passed over what is in {', '.join(sorted(runs))}: a training run."
        )
    if own:
        _warn_once(
            f"Passed over {own} pictures in {folder} that keras-tim wrote: "
            "alternatives, sheets and maps. `sample` takes them if they are "
            "named one by one."
        )
    unreadable = {s: n for s, n in others.items() if s in _UNREADABLE.split()}
    heif = {s: n for s, n in others.items() if s in _HEIF_SUFFIXES}
    if heif:
        _warn_once(
            f"Passed over {_counts(heif)} in {folder}, which pillow-heif "
            "reads: pip install 'keras-tim[heic]'"
        )
    if unreadable:
        _warn_once(
            f"Passed over {_counts(unreadable)} in {folder}, which cannot be "
            "read here. Convert them to PNG or JPEG to use them."
        )


def _tell_of_error(error):
    _warn_once(f"Passed over {error.filename}: {error.strerror}.")


def _counts(suffixes):
    return ", ".join(f"{n} {suffix}" for suffix, n in sorted(suffixes.items()))


@functools.lru_cache(maxsize=256)
def _warn_once(message):
    """Warns; one command may look through a folder several times."""
    logging.warning("%s", message)


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
    image = image.astype(np.float32, copy=False)
    if not np.isfinite(image).all():
        raise ValueError(
            f"`{name}` must hold finite values only. Received: {name} with "
            f"{int((~np.isfinite(image)).sum())} values that are NaN or "
            "infinite"
        )
    check_unit_range(name, image)
    pixels = np.empty(image.shape, np.uint8)
    rows = band_height(image.shape[1])
    for top in range(0, len(image), rows):
        band = slice(top, top + rows)
        pixels[band] = np.rint(np.clip(image[band], 0, 1) * 255)
    return pixels


def _existing_file(path):
    if isinstance(path, EncodedPicture):
        return path
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


def _colours_and_alpha(image, scale, path):
    """The first fields of `Decoded` of a loaded picture."""
    if 0 in image.size:
        raise PictureError(f"Cannot read `{path}`: the picture has no pixels.")
    if image.mode in (*_GREY_16_BIT, "I", "F"):
        return *_deep_grey(image, scale, path), True, None
    grey = image.mode in ("1", "L", "LA", "La")
    transparent = "transparency" in image.info
    if image.mode not in _WITH_ALPHA and not transparent:
        straight, alpha = image, None
    else:
        # Grey stays grey until its profile has been applied.
        straight = image.convert("LA" if grey and not transparent else "RGBA")
        alpha = np.array(straight.getchannel("A"))
        straight = straight.convert("L" if grey else "RGB")
    colours, stored = np.array(to_srgb(straight, path)), None
    if not grey and image.info.get("icc_profile") and image.mode != "CMYK":
        stored = np.array(straight.convert("RGB"))
    if image.mode in ("P", "PA"):
        grey = bool((colours == colours[..., :1]).all())
    return colours, alpha, grey, stored


def _deep_colours(values, image, path):
    """The first fields of `Decoded` of 16-bit colours in [0, 1]."""
    alpha = values[..., -1] if values.shape[-1] in (2, 4) else None
    if values.shape[-1] == 2:
        grey = grey_to_srgb(values[..., 0], image.info, path)
        return grey, alpha, True, None
    stored = values[..., :3]
    return deep_to_srgb(stored, image.info, path), alpha, False, stored


def _over_white(colours, alpha):
    if colours.dtype == np.uint8:
        pictures = map(Image.fromarray, (colours, alpha))
        white = Image.new("RGB", colours.shape[1::-1], (255, 255, 255))
        colours, alpha = pictures
        return np.array(Image.composite(colours, white, alpha))
    return colours * alpha[..., None] + (1 - alpha[..., None])


def _deep_grey(image, scale, path):
    """RGB in [0, 1] of grey of more than 8 bits, and its transparency."""
    values = np.asarray(image).astype(np.float32)
    if scale is None:
        raise PictureError(
            f"Cannot read `{path}`: it holds integers of 32 bits or with a "
            f"sign, from {values.min():g} to {values.max():g}, and nothing "
            "says which of them is white. Save it with 8 or 16 bits per "
            "channel."
        )
    black, white = scale
    grey = (values - np.float32(black)) / np.float32(white - black)
    if not (grey.min() >= 0 and grey.max() <= 1):  # NaN fails, too
        raise PictureError(
            f"Cannot read `{path}`: its values run from {values.min():g} to "
            f"{values.max():g} and leave [{min(scale):g}, {max(scale):g}]. "
            "Rescale them, or save it with 8 or 16 bits."
        )
    alpha = None
    if "transparency" in image.info:
        alpha = (values != image.info["transparency"]).astype(np.float32)
    return grey_to_srgb(grey, image.info, path), alpha


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
        if path.suffix.lower() in _HEIF_SUFFIXES and not _heif_suffixes():
            return (
                f"Cannot read `{path}`: HEIC pictures need pillow-heif. "
                "pip install 'keras-tim[heic]'"
            )
        return (
            f"Cannot read `{path}`: it is not a picture of a known format. "
            f"Use one of {' '.join(picture_suffixes())}."
        )
    return (
        f"Cannot read `{path}`: it is truncated or damaged ({error}). Copy or "
        "download it again."
    )
