"""Signatures for a person who chooses: codes in, other codes out.

What `TIM.vary`, `interpolate` and `combine` do, for those who have a SavedModel
alone. What they give, `decode` takes.
"""

import tensorflow as tf

from keras_tim.export.headers import require
from keras_tim.models import choosing
from keras_tim.models.codes import draw_codes


class Choosing:
    """The signatures, which every input's codes go through by themselves.

    Args:
        generator: a `keras_tim.models.generator.Generator`.
        checks: the `keras_tim.export.limits.Checks` of its requests.
    """

    def __init__(self, generator, checks):
        self._generator = generator
        self._tim = generator.tim
        self._checks = checks

    def functions(self):
        """As `Signatures.functions`."""
        levels = self._tim.num_levels
        seed = tf.TensorSpec([None, None], tf.int64, name="seed")
        amount = tf.TensorSpec([None, levels], name="amount")
        t = tf.TensorSpec([None, None], name="t")
        masks = tf.TensorSpec([None] * 4, name="masks")
        return {
            "vary": (self.vary, [seed, amount, *self._specifications(None)]),
            "interpolate": (self.interpolate, [t, *self._specifications(2)]),
            "combine": (self.combine, [masks, *self._specifications(None)]),
        }

    def vary(self, seed, amount, *codes):
        """Codes near given ones, see `TIM.vary`.

        Args:
            seed: int64 tensor `[batch, n]`.
            amount: float32 tensor `[batch, levels]` in [0, 1], how much of
                each level's code is new, coarsest first: 0 keeps a level.
            *codes: codes as `decode` takes them, n of each input, or one to
                be varied n times.

        Returns:
            dict: codes as `draw_codes` gives them, n of each input.
        """
        batch, count = tf.unstack(tf.shape(seed))
        given = tf.shape(codes[0])[1]
        given = require(
            given,
            tf.equal(given, count) | tf.equal(given, 1),
            "`seed` must have one seed per code, or several for a single "
            "code. Received codes and seeds of each input:",
            given,
            count,
        )
        codes = self._checked(codes, batch, given, count, "seed")
        seed = _behind(codes, seed)
        amount = require(
            amount,
            # NaN fails every comparison.
            tf.reduce_all((amount >= 0) & (amount <= 1))
            & tf.equal(tf.shape(amount)[0], batch),
            "`amount` must have one row per input, of numbers from 0 to 1. "
            "Received:",
            amount,
        )
        repeats = tf.where(tf.equal(given, 1), count, 1)
        codes = [_flat(tf.repeat(code, repeats, axis=1)) for code in codes]
        pairs = _paired(codes)
        seeds = tf.reshape(seed, [-1])
        draws = draw_codes(
            seeds,
            # The number that `TIM.vary` draws under.
            -tf.ones_like(seeds)[:, None],
            [tf.unstack(tf.shape(noise)[1:3]) for _, noise in pairs],
            self._tim.style_dim,
            self._tim.noise_channels,
            style_sizes=[
                tf.unstack(tf.shape(style)[1:-1])
                if self._tim.style_cell
                else ()
                for style, _ in pairs
            ],
        )
        amount = tf.cast(tf.repeat(amount, count, axis=0), tf.float64)
        varied = []
        for level, (code, draw) in enumerate(zip(pairs, draws, strict=True)):
            new = amount[:, level]
            kept = tf.sqrt(1.0 - new**2)
            varied += [
                _factor(kept, part) * part + _factor(new, part) * drawn
                for part, drawn in zip(code, draw, strict=True)
            ]
        return self._named(varied, batch, count)

    def interpolate(self, t, *codes):
        """Codes between two, see `TIM.interpolate`.

        Args:
            t: float32 tensor `[batch, n]` in [0, 1]: 0 is the first code, 1
                the second.
            *codes: codes as `decode` takes them, two of each input.

        Returns:
            dict: codes as `draw_codes` gives them, n of each input.
        """
        batch, count = tf.unstack(tf.shape(t))
        codes = self._checked(codes, batch, 2, count, "t")
        t = require(
            t,
            tf.reduce_all((t >= 0) & (t <= 1)),
            "`t` must hold numbers from 0 to 1. Received:",
            t,
        )
        share = tf.reshape(t, [-1])
        between = []
        for code in codes:
            a, b = (tf.repeat(code[:, n], count, axis=0) for n in range(2))
            between.append(choosing.between(a, b, _factor(share, a)))
        return self._named(between, batch, count)

    def combine(self, masks, *codes):
        """One code of several, chosen by region, see `TIM.combine`.

        Args:
            masks: float32 tensor `[batch, n, height, width]`, how much each
                code counts at each place: finite numbers from 0 on, one above
                0 at every place. As high and wide as the input or the output,
                or in the same proportion.
            *codes: codes as `decode` takes them, n of each input.

        Returns:
            dict: codes as `draw_codes` gives them, one of each input.
        """
        batch, given = tf.unstack(tf.shape(masks)[:2])
        codes = self._checked(codes, batch, given, given, "masks")
        masks = _behind(codes, masks)
        total = tf.reduce_sum(masks, axis=1, keepdims=True)
        masks = require(
            masks,
            tf.reduce_all(masks >= 0)
            & tf.reduce_all((total > 0) & tf.math.is_finite(total)),
            "`masks` must be finite numbers from 0 on, one above 0 for every "
            "pixel.",
        )
        size = tf.shape(masks, tf.int64)[2:]
        noise = tf.shape(codes[-1], tf.int64)[2:4]
        masks = require(
            masks,
            tf.equal(size[0] * noise[1], size[1] * noise[0])
            & (tf.reduce_min(size) > 0),
            "`masks` must be as high and wide as the input or the output, or "
            "in the same proportion. Received height and width of the masks "
            "and of the last level's noise:",
            size,
            noise,
        )
        pairs = _paired([_flat(code) for code in codes])
        combined = choosing.by_region(self._tim, pairs, masks / total)
        parts = [part for code in combined for part in code]
        return self._named(parts, batch, 1)

    # -- Parts -------------------------------------------------------------

    def _specifications(self, count):
        return [
            tf.TensorSpec([None, count, *shape], name=name)
            for name, shape in zip(
                self._generator.code_names(),
                self._generator.code_shapes(),
                strict=True,
            )
        ]

    def _checked(self, codes, batch, given, count, name):
        """Codes, `given` of each input, of which `count` are to be made."""
        batch = self._checks.batch(batch, name)
        batch = require(batch, *self._checks.few_enough(batch, count, name))
        last = self._generator.noise_sizes(1, 1)[-1][0]
        size = tf.shape(codes[-1], tf.int64)[2:4] // last
        size = self._checks.divides(
            self._checks.size(size, "noise", self._generator.output_factor),
            "noise",
        )
        sizes = tf.tile(size[None], [batch, 1])
        sizes = self._checks.total(sizes, count, self._generator.output_factor)
        height, width = tf.unstack(tf.cast(sizes[0], tf.int32))
        return self._checks.codes(codes, (height, width), batch, given)

    def _named(self, parts, batch, count):
        """What `draw_codes` returns, from parts `[batch * count, ...]`."""
        named = {}
        for name, part, shape in zip(
            self._generator.code_names(),
            parts,
            self._generator.code_shapes(),
            strict=True,
        ):
            rows = tf.concat([[batch, count], tf.shape(part)[1:]], 0)
            part = require(
                tf.reshape(part, rows),
                tf.reduce_all(tf.math.is_finite(part)),
                f"`{name}` holds numbers too large to be mixed.",
            )
            named[name] = tf.ensure_shape(part, [None, None, *shape])
        return named


def _behind(codes, tensor):
    """The tensor, of which nothing is made before codes have been checked."""
    with tf.control_dependencies(codes):
        return tf.identity(tensor)


def _flat(code):
    """`[batch, n, ...]` -> `[batch * n, ...]`."""
    shape = tf.shape(code)
    flat = tf.reshape(code, tf.concat([shape[:1] * shape[1:2], shape[2:]], 0))
    return tf.ensure_shape(flat, [None, *code.shape[2:]])


def _paired(codes):
    return list(zip(codes[::2], codes[1::2], strict=True))


def _factor(values, part):
    """Values `[n]` as float32 factors of a part `[n, ...]`."""
    shape = tf.concat([[-1], tf.ones_like(tf.shape(part)[1:])], 0)
    factor = tf.reshape(tf.cast(values, tf.float32), shape)
    return tf.ensure_shape(factor, [None] + [1] * (part.shape.rank - 1))
