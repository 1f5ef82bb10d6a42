"""Codes of what a person chose: drawn, varied and mixed, as records say."""

import base64
import functools
import io

import numpy as np
from PIL import Image

from keras_tim.checks import integer
from keras_tim.models.choosing import join

# What was made of what was made of what ... A stranger's file could go on.
DEEPEST = 100


def codes_of(tim, renderer, made_of, depth=0):
    """Codes of one alternative.

    Args:
        tim: a `TIM`.
        renderer: its `keras_tim.inference.rendering.Renderer` of the picture,
            or what draws, varies and combines codes as that does.
        made_of: dict that JSON can hold: `seed` and `index` of what is drawn;
            `vary`, what was varied, with `amount`, `levels` and `seed`;
            `interpolate`, two, with `t`; or `combine`, two, with the `mask` of
            the second as `mask_text` gives it. `temperature`, where it is not
            1, of what is drawn or mixed in.
        depth: int, of how many it is a part.

    Returns:
        Codes of one, see `TIM.draw_codes`.

    Raises:
        ValueError: if it is nothing like that.
    """
    if depth > DEEPEST:
        raise ValueError(f"It is made of more than {DEEPEST} steps.")

    def part(inner):
        return codes_of(tim, renderer, inner, depth + 1)

    try:
        warm = float(made_of.get("temperature", 1.0))
        if "vary" in made_of:
            amount, seed = (made_of[name] for name in ("amount", "seed"))
            seed = integer("seed", seed, least=0)
            near = part(made_of["vary"])
            return renderer.vary(near, amount, seed, made_of["levels"], warm)
        if "interpolate" in made_of:
            a, b = map(part, made_of["interpolate"])
            return tim.interpolate(a, b, made_of["t"])
        if "combine" in made_of:
            levels = _mask(made_of["mask"], tuple(renderer.size))
            both = join(*map(part, made_of["combine"]))
            return renderer.combine(both, np.stack([255 - levels, levels]))
        return renderer.draw(made_of["seed"], made_of["index"], warm)
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(
            f"It must say what it is made of. Received: {error!r}"
        ) from error


def mask_text(mask):
    """A mask as records hold it.

    Args:
        mask: uint8 array `[height, width]`.

    Returns:
        str, a PNG file in base64.
    """
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")


# Of a picture in tiles every tile asks for it again.
@functools.lru_cache(maxsize=2)
def _mask(text, size):
    """The mask in a record, of the size of the picture that was given."""
    try:
        content = base64.b64decode(text, validate=True)
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            if image.mode == "L" and image.size == tuple(size[::-1]):
                return np.array(image)
            said = f"{image.mode} of {image.size}"
    # A damaged file may raise nearly anything.
    except Exception as error:
        said = repr(error)
    raise ValueError(
        f"Its mask must be grey and of {size[1]} x {size[0]} pixels. Received: "
        f"{said}"
    )
