"""Walks through alternatives: films of one picture that changes smoothly."""

import math
import os

import keras
from absl import logging

from keras_tim.checks import integer
from keras_tim.images.films import check_film_suffix, write_film
from keras_tim.images.pictures import as_uint8
from keras_tim.images.sheets import fitted
from keras_tim.inference.reading import read_input
from keras_tim.inference.rendering import Renderer
from keras_tim.inference.sizing import Sizing
from keras_tim.models.fingerprint import fingerprint

# A film is held in memory until it is written.
LARGEST_FILM = 300_000_000


def film_file(
    tim,
    path,
    film,
    seed=0,
    alternatives=(0, 1, 2, 3),
    seconds=8.0,
    rate=10.0,
    side=640,
    overwrite=False,
    **reading,
):
    """Writes a film that walks through alternatives of a picture file.

    It goes from one alternative to the next and from the last one back to the
    first, and repeats for ever, but in MP4, where that is up to the player.
    The file appears whole or not at all.

    Args:
        tim: a `TIM`.
        path: the picture file.
        film: path of the film, ending in `.webp`, `.gif` or `.mp4`, see
            `keras_tim.images.write_film`; its folder is made if missing.
        seed: int, of the alternatives.
        alternatives: ints, two or more, the numbers of those that it comes by.
        seconds: float, how long one round takes.
        rate: float, frames per second, up to 50.
        side: int, pixels of its longer side at most; larger pictures are
            reduced.
        overwrite: bool, whether a file that is there already is written over.
            The picture itself never is.
        **reading: how the picture is read, as `sample_files` takes it.

    Returns:
        int, the number of frames.

    Raises:
        ValueError: if an argument is not as described, or the film would be
            too large.
        FileExistsError: if the film is there already.
        ImportError: if MP4 cannot be written here.
        keras_tim.images.PictureError: if the picture cannot be used.
    """
    seed = integer("seed", seed, least=None)
    alternatives = [integer("alternatives", k, least=0) for k in alternatives]
    side = integer("side", side, least=16)
    legs = len(alternatives)
    if legs < 2:
        raise ValueError(
            "`alternatives` must name at least two to walk between. "
            f"Received: alternatives={alternatives}"
        )
    # NaN fails every comparison.
    if not 0.0 < rate <= 50.0 or not 0.0 < seconds < math.inf:
        raise ValueError(
            "`seconds` must be a positive number and `rate` one up to 50. "
            f"Received: seconds={seconds}, rate={rate}"
        )
    film = os.fspath(film)
    # Before the work, not behind it.
    check_film_suffix(film, "film")
    if os.path.exists(film):
        if os.path.exists(path) and os.path.samefile(film, path):
            raise FileExistsError(
                f"The film would be written over {film}, of which it is made. "
                "Choose another name."
            )
        if not overwrite:
            raise FileExistsError(
                f"{film} is there already. Choose another name, or write over "
                "it with --overwrite. Nothing was written."
            )
    sizing = Sizing.of(tim, reading.get("reduce"))
    reading = reading | {"reduce": sizing.reduced(path)}
    given = read_input(tim, path, **reading)
    per_leg = max(1, round(seconds * rate / legs))
    height, width = _film_size(tim, given, side)
    if legs * per_leg * height * width > LARGEST_FILM:
        raise ValueError(
            f"A film of {legs * per_leg} frames of {width} x {height} pixels "
            f"has more than {LARGEST_FILM:,} pixels. Make it shorter, slower "
            "or smaller."
        )
    os.makedirs(os.path.dirname(film) or ".", exist_ok=True)
    logging.info(
        "%s: %d frames of %d x %d pixels", path, legs * per_leg, width, height
    )
    bar = keras.utils.Progbar(legs * per_leg)
    frames = []
    for frame in walk(tim, given, seed, alternatives, per_leg):
        frame = as_uint8(frame, "frame")
        if frame.shape[:2] != (height, width):
            frame = fitted(frame, height, width)
        frames.append(frame)
        bar.update(len(frames))
    # GIF counts in hundredths of a second, browsers from the second on.
    milliseconds = max(20, 10 * round(100 / rate))
    write_film(
        film,
        frames,
        milliseconds=milliseconds,
        hold=milliseconds,
        record={
            "made": "film",
            "model": fingerprint(tim),
            "reading": reading,
            "seed": seed,
            "alternatives": alternatives,
            "frames_between": per_leg,
        },
    )
    return len(frames)


def walk(tim, given, seed, alternatives, steps):
    """Pictures on a round through alternatives, one at a time.

    The way between two is the arc of `TIM.interpolate`. It is left and reached
    slowly, so that each alternative stands for a moment.

    Args:
        tim: a `TIM`.
        given: array `[height, width, channels]`, float in [0, 1]; its edges
            are repeated where its sides are not of `input_multiple`.
        seed: int, of the alternatives.
        alternatives: ints, the numbers of those that it comes by.
        steps: int, pictures from one alternative to the next, with the first
            one alone of the two.

    Yields:
        float32 arrays `[H, W, 3]` in [0, 1], `len(alternatives) * steps` of
        them; the last one leads to the first. Those of the alternatives are
        `sample`'s to the last bit.
    """
    renderer = Renderer(tim, given)
    # One alternative's codes at a time: they are larger than its picture.
    first = end = renderer.draw(seed, alternatives[0])
    for following in [*alternatives[1:], None]:
        start = end
        end = first if following is None else renderer.draw(seed, following)
        for step in range(steps):
            eased = 0.5 - 0.5 * math.cos(math.pi * step / steps)
            yield renderer.picture(tim.interpolate(start, end, eased))


def _film_size(tim, given, side):
    """Height and width of the frames."""
    height, width = (tim.output_factor * n for n in given.shape[:2])
    factor = min(1.0, side / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))
