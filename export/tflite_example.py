"""Alternatives of a picture on a device, with NumPy and a TFLite interpreter.

    pip install ai-edge-litert numpy pillow
    python tflite_example.py photos.tflite PICTURE.jpg --count 4

The codes, which make the alternatives differ, are inputs of the model. They are
drawn here: any source of standard normal numbers will do.
"""

import argparse
import pathlib

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps

# Whatever the file is called. Not among them are those that Pillow has another
# program read.
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM")


def main():
    """Reads the command line and writes the alternatives as PNG files."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=pathlib.Path, help="a .tflite file")
    parser.add_argument("picture", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path())
    arguments = parser.parse_args()

    interpreter = Interpreter(str(arguments.model))
    decode = interpreter.get_signature_runner("decode")
    shapes = {
        name: details["shape"]
        for name, details in decode.get_input_details().items()
    }
    picture = read_picture(arguments.picture, shapes.pop("picture"))
    for number in range(arguments.count):
        codes = draw_codes(shapes, arguments.seed, number)
        made = decode(picture=picture, **codes)["alternative"][0]
        path = arguments.output / f"{arguments.picture.stem}_{number}.png"
        Image.fromarray(np.rint(made * 255).astype(np.uint8)).save(path)
        print(path)


def read_picture(path, shape):
    """Reads a picture as the model takes it.

    Args:
        path: of the file.
        shape: `[1, height, width, channels]`, which is fixed. The picture is
            scaled and its middle is cut out.

    Returns:
        float32 array of that shape, in [0, 1].
    """
    _, height, width, channels = shape
    with Image.open(path, formats=FORMATS) as image:
        image = ImageOps.exif_transpose(image).convert("RGB")
    image = ImageOps.fit(image, (width, height), Image.Resampling.BICUBIC)
    rgb = np.asarray(image, np.float32) / np.float32(255)
    if channels == 3:
        return rgb[None]
    if channels == 1:
        return lightness(rgb)[None]
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
