"""Alternatives of a picture on a device, with NumPy and a TFLite interpreter.

    pip install ai-edge-litert numpy pillow
    python tflite_example.py photos.tflite PICTURE.jpg --count 4

The codes, which make the alternatives differ, are inputs of the model. They are
drawn here: any source of standard normal numbers will do.

A .tflite file takes pictures of one size. Larger ones are made in tiles of it,
which overlap and share the codes of the whole picture; smaller ones are filled
up with their edges. Models that normalise by each picture's own statistics do
that tile by tile, so give them pictures of their size (--fit).
"""

import argparse
import itertools
import pathlib

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps

# Whatever the file is called. Not among them are those that Pillow has another
# program read.
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM")
# Pixels of the input that neighbouring tiles share; at most half a tile.
OVERLAP = 32


def main():
    """Reads the command line and writes the alternatives as PNG files."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=pathlib.Path, help="a .tflite file")
    parser.add_argument("picture", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path())
    parser.add_argument(
        "--fit",
        action="store_true",
        help="scale the picture to the model's size, and cut out its middle",
    )
    arguments = parser.parse_args()

    interpreter = Interpreter(str(arguments.model))
    decode = interpreter.get_signature_runner("decode")
    shapes = {
        name: tuple(details["shape"])
        for name, details in decode.get_input_details().items()
    }
    tiles = Tiles(decode, shapes.pop("picture"), shapes)
    size = tiles.size if arguments.fit else None
    picture = read_picture(arguments.picture, tiles.channels, size)
    for number in range(arguments.count):
        made = tiles.alternative(picture, arguments.seed, number)
        path = arguments.output / f"{arguments.picture.stem}_{number}.png"
        Image.fromarray(np.rint(made * 255).astype(np.uint8)).save(path)
        print(path)


class Tiles:
    """Makes pictures of any size with a model of one size.

    Args:
        decode: the model's signature.
        shape: `[1, height, width, channels]` of the pictures that it takes.
        shapes: dict from the codes' names to their shapes.
    """

    def __init__(self, decode, shape, shapes):
        self.decode = decode
        self.shapes = shapes
        _, *self.size, self.channels = (int(n) for n in shape)
        # Codes that are coarser than the picture are cut between their cells.
        fields = [shape for shape in shapes.values() if len(shape) == 4]
        self.steps = []
        for axis, side in enumerate(self.size, start=1):
            grid = max((-(-side // x[axis]) for x in fields), default=1)
            step = side - min(OVERLAP, side // 2)
            self.steps.append(-(-step // grid) * grid)

    def alternative(self, picture, seed, number):
        """One alternative.

        Args:
            picture: float32 array `[height, width, channels]` in [0, 1].
            seed: int.
            number: int.

        Returns:
            float32 array `[height', width', 3]` in [0, 1].
        """
        starts = [
            range(0, max(have - side, 0) + step, step)
            for have, side, step in zip(
                picture.shape, self.size, self.steps, strict=False
            )
        ]
        whole = [
            n[-1] + side for n, side in zip(starts, self.size, strict=True)
        ]
        missing = [
            (0, n - have) for n, have in zip(whole, picture.shape, strict=False)
        ]
        given = np.pad(picture, (*missing, (0, 0)), "edge")
        codes = draw_codes(self.fields(whole), seed, number)
        made = None
        for top, left in itertools.product(*starts):
            height, width = self.size
            tile = self.decode(
                picture=given[None, top : top + height, left : left + width],
                **self.cut(codes, top, left),
            )["alternative"][0]
            factor = tile.shape[0] // height
            if made is None:
                made = np.zeros([factor * n for n in whole] + [3], np.float32)
            rows, columns = (
                shares(side, step, start, last[-1], factor)
                for side, step, start, last in zip(
                    self.size, self.steps, (top, left), starts, strict=True
                )
            )
            place = made[factor * top :, factor * left :]
            place = place[: len(rows), : len(columns)]
            place += tile * rows[:, None, None] * columns[:, None]
        height, width = (factor * n for n in picture.shape[:2])
        return np.clip(made[:height, :width], 0, 1)

    def fields(self, whole):
        """Shapes of the codes of a whole picture, as `shapes` of a tile."""
        return {
            name: self.scaled(shape, whole) if len(shape) == 4 else shape
            for name, shape in self.shapes.items()
        }

    def cut(self, codes, top, left):
        """The codes of the tile that begins there."""
        cut = {}
        for name, code in codes.items():
            if len(code.shape) == 4:  # else it is one style for all
                _, rows, columns, _ = self.shapes[name]
                _, y, x, _ = self.scaled(self.shapes[name], (top, left))
                code = code[:, y : y + rows, x : x + columns]
            cut[name] = code
        return cut

    def scaled(self, shape, place):
        """Rows and columns of a code up to a place of the picture."""
        one, *sides, channels = shape
        sides = (
            n * at // side
            for n, at, side in zip(sides, place, self.size, strict=True)
        )
        return (one, *sides, channels)


def shares(side, step, start, last, factor):
    """How much a tile counts along one side; neighbours add up to one.

    Nothing at its border, where it does not see what lies beyond.

    Args:
        side: int, the tile's length in pixels of the input.
        step: int, from one tile to the next.
        start: int, where this one begins.
        last: int, where the last one does.
        factor: int, size of the output relative to the input.

    Returns:
        float32 array `[factor * side]`.
    """
    overlap = factor * (side - step)
    pixels = np.arange(factor * side) + 0.5
    rising = np.clip(2 * pixels / max(overlap, 1) - 0.5, 0, 1)
    ones = np.ones_like(pixels)
    before = ones if start == 0 else rising
    after = ones if start == last else rising[::-1]
    return np.minimum(before, after).astype(np.float32)


def read_picture(path, channels, size=None):
    """Reads a picture as the model takes it.

    Args:
        path: of the file.
        channels: int, the model's.
        size: None, or `(height, width)` that the picture is scaled to, of
            which its middle is cut out.

    Returns:
        float32 array `[height, width, channels]` in [0, 1].
    """
    with Image.open(path, formats=FORMATS) as image:
        image = ImageOps.exif_transpose(image).convert("RGB")
    if size is not None:
        image = ImageOps.fit(image, size[::-1], Image.Resampling.BICUBIC)
    rgb = np.asarray(image, np.float32) / np.float32(255)
    if channels == 3:
        return rgb
    if channels == 1:
        return lightness(rgb)
    raise SystemExit(
        f"{channels} channels: this model does not take a picture but a layout"
    )


def lightness(rgb):
    """CIE lightness L / 100 of sRGB, what a model that adds colours takes.

    Args:
        rgb: float array `[height, width, 3]` in [0, 1].

    Returns:
        float32 array `[height, width, 1]` in [0, 1].
    """
    power = ((rgb + 0.055) / 1.055) ** 2.4
    linear = np.where(rgb > 0.04045, power, rgb / 12.92)
    luminance = linear @ np.array([[0.212671], [0.71516], [0.072169]])
    root = np.where(
        luminance > (6 / 29) ** 3,
        np.cbrt(luminance),
        7.787 * luminance + 16 / 116,
    )
    return np.clip(1.16 * root - 0.16, 0, 1).astype(np.float32)


def draw_codes(shapes, seed, number):
    """Draws the code of one alternative from N(0, I).

    Args:
        shapes: dict from the codes' names to their shapes.
        seed: int.
        number: int. The same seed and number give the same alternative.

    Returns:
        dict of float32 arrays.
    """
    random = np.random.default_rng([seed, number])
    return {
        name: random.standard_normal(shape, np.float32)
        for name, shape in sorted(shapes.items())
    }


if __name__ == "__main__":
    main()
