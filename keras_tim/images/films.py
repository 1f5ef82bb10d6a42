"""Films: pictures one after another in one file."""

import fractions
import pathlib

import numpy as np
from PIL import Image

from keras_tim.checks import integer
from keras_tim.files import written
from keras_tim.images.pictures import as_uint8
from keras_tim.images.records import record_options, record_text

_OPTIONS = {
    # Lossy, which a moving picture hides; files are a tenth as large.
    ".webp": {"format": "WEBP", "quality": 90, "method": 4},
    # The palette is made of every frame anew; no frame is left out.
    ".gif": {"format": "GIF", "disposal": 1, "optimize": False},
}
_MP4 = ".mp4"
FILM_SUFFIXES = (*_OPTIONS, _MP4)
# Of H.264: hardly seen, and what every player understands.
_QUALITY = {"crf": "18", "preset": "medium"}
_BT601 = 6


def check_film_suffix(path, argument="path"):
    """Raises where a film cannot be written by its name.

    Args:
        path: Path of the film.
        argument: String, what messages call it.

    Returns:
        Its suffix, in lower case.

    Raises:
        ValueError: If it is none of `FILM_SUFFIXES`.
        ImportError: If what writes it is not installed.
    """
    suffix = pathlib.Path(path).suffix.lower()
    if suffix not in FILM_SUFFIXES:
        raise ValueError(
            f"`{argument}` must end in one of {', '.join(FILM_SUFFIXES)}. "
            f"Received: {argument}={str(path)!r}"
        )
    if suffix == _MP4:
        try:
            import av  # noqa: F401
        except ImportError as error:
            raise ImportError(
                f"Writing {path} needs PyAV: pip install 'keras-tim[film]'. "
                "Films that end in .webp or .gif need nothing."
            ) from error
    return suffix


def write_film(path, frames, milliseconds=100, hold=1500, record=None):
    """Writes pictures as a film.

    It repeats for ever, but in MP4, where that is up to the player.

    The file appears whole or not at all, see `write_picture`.

    Args:
        path: Path of the file, ending in `.webp` (true colours, small), `.gif`
            (256 colours, shown everywhere) or `.mp4` (H.264, for video
            programs; needs `pip install 'keras-tim[film]'`). Its folder must
            exist. MP4 has even sides: where one is odd, edge pixels are
            repeated.
        frames: Sequence of pictures of shape `(height, width, 3)`, all of one
            size, floats in `[0, 1]` or `uint8`.
        milliseconds: Integer, how long every frame is shown.
        hold: Integer, how long the last one is shown, in milliseconds.
        record: Dictionary or `None`, see `write_picture`.

    Raises:
        ValueError: If an argument is not as described.
        OSError: If the file cannot be written.
        ImportError: If MP4 cannot be written here.
    """
    suffix = check_film_suffix(path)
    # GIF counts in hundredths of a second.
    milliseconds = integer("milliseconds", milliseconds, least=10)
    hold = integer("hold", hold, least=10)
    pictures = [
        Image.fromarray(as_uint8(frame, f"frames[{number}]"))
        for number, frame in enumerate(frames)
    ]
    sizes = {picture.size for picture in pictures}
    if len(sizes) != 1:
        raise ValueError(
            "`frames` must be pictures of one size, at least one. Received: "
            f"{len(pictures)} pictures of the sizes (width, height) "
            f"{sorted(sizes)}"
        )
    if suffix == _MP4:
        with written(path) as temporary, open(temporary, "wb") as file:
            _write_mp4(file, pictures, milliseconds, hold, record)
        return
    durations = [milliseconds] * (len(pictures) - 1) + [hold]
    options = _OPTIONS[suffix]
    options = options | record_options(record, options["format"])
    with written(path) as temporary, open(temporary, "wb") as file:
        pictures[0].save(
            file,
            save_all=True,
            append_images=pictures[1:],
            duration=durations,
            loop=0,
            **options,
        )


def _write_mp4(file, pictures, milliseconds, hold, record):
    import av

    # The last frame again and again is the last frame for longer.
    repeats = max(1, round(hold / milliseconds))
    with av.open(file, "w", format="mp4") as film:
        if record is not None:
            film.metadata["comment"] = " ".join(record_text(record))
        rate = fractions.Fraction(1000, milliseconds)
        stream = film.add_stream("libx264", rate=rate, options=_QUALITY)
        # Colour has half the pixels along each side.
        stream.pix_fmt = "yuv420p"
        stream.width, stream.height = (n + n % 2 for n in pictures[0].size)
        stream.codec_context.colorspace = _BT601
        for picture in pictures + [pictures[-1]] * (repeats - 1):
            pixels = np.asarray(picture)
            missing = [(0, n % 2) for n in pixels.shape[:2]]
            pixels = np.pad(pixels, (*missing, (0, 0)), "edge")
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame = frame.reformat(
                format="yuv420p", dst_colorspace=_BT601, interpolation="AREA"
            )
            film.mux(stream.encode(frame))
        film.mux(stream.encode())
