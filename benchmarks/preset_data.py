"""Pictures that presets are trained on: decoded and damaged."""

import concurrent.futures
import io
import os

import numpy as np
from PIL import Image


def decoded(path):
    """uint8 array `[count, height, width, 3]` of a folder or npz of files."""
    if os.path.isdir(path):
        parts = []
        for name in sorted(os.listdir(path)):
            with open(os.path.join(path, name), "rb") as file:
                parts.append(file.read())
    else:
        with np.load(path) as file:
            lens, content = file["lens"], file["bytes"].tobytes()
        parts = [
            content[end - size : end]
            for end, size in zip(np.cumsum(lens), lens, strict=True)
        ]

    def one(part):
        return np.asarray(Image.open(io.BytesIO(part)).convert("RGB"))

    with concurrent.futures.ThreadPoolExecutor() as pool:
        return np.stack(list(pool.map(one, parts)))


def compressed(picture, rng, qualities):
    """A picture as JPEG returns it, at a random quality."""
    low, high = np.log(qualities)
    quality = round(float(np.exp(rng.uniform(low, high))))
    stream = io.BytesIO()
    subsampling = 2 if rng.random() < 0.7 else 0
    Image.fromarray(picture).save(
        stream, "JPEG", quality=quality, subsampling=subsampling
    )
    return np.asarray(Image.open(stream).convert("RGB"))


def damaged_variants(pictures, count, seed, damage):
    """`[count, pictures, ...]` of damaged pictures."""

    def one(number):
        rng = np.random.default_rng([seed, number])
        return damage(pictures[number % len(pictures)], rng)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        made = list(pool.map(one, range(count * len(pictures))))
    return np.stack(made).reshape(count, len(pictures), *made[0].shape)
