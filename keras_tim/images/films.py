"""Films: pictures one after another in one file."""

import pathlib

from PIL import Image

from keras_tim.checks import integer
from keras_tim.files import written
from keras_tim.images.own import record_options
from keras_tim.images.pictures import as_uint8

_OPTIONS = {
    # Lossy, which a moving picture hides; files are a tenth as large.
    ".webp": {"format": "WEBP", "quality": 90, "method": 4},
    # The palette is made of every frame anew; no frame is left out.
    ".gif": {"format": "GIF", "disposal": 1, "optimize": False},
}
FILM_SUFFIXES = tuple(_OPTIONS)


def write_film(path, frames, milliseconds=100, hold=1500, record=None):
    """Writes pictures as an animation that repeats for ever.

    The file appears whole or not at all, see `write_picture`.

    Args:
        path: Path of the file, ending in `.webp` (true colours, small) or
            `.gif` (256 colours, shown everywhere). Its folder must exist.
        frames: Sequence of pictures of shape `(height, width, 3)`, all of one
            size, floats in `[0, 1]` or `uint8`.
        milliseconds: Integer, how long every frame is shown.
        hold: Integer, how long the last one is shown, in milliseconds.
        record: Dictionary or `None`, see `write_picture`.

    Raises:
        ValueError: If an argument is not as described.
        OSError: If the file cannot be written.
    """
    path = pathlib.Path(path)
    suffix = path.suffix.lower()
    if suffix not in _OPTIONS:
        raise ValueError(
            f"`path` must end in one of {', '.join(_OPTIONS)}. Received: "
            f"path={str(path)!r}"
        )
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
