"""Alternatives of several inputs, one after another or a few at a time."""

import itertools

import keras
import numpy as np
from keras import ops

from keras_tim.checks import check_tensorflow, integer
from keras_tim.layers.tracing import layers_alike_traced_once
from keras_tim.layers.weight_norm import known_kernels
from keras_tim.lazy import jax
from keras_tim.lazy import tensorflow as tf
from keras_tim.models import codes, jax_codes
from keras_tim.models.folding import plain_kernels
from keras_tim.models.generator import Generator
from keras_tim.models.inputs import (
    check_divides,
    check_inputs,
    check_pictures,
    check_seeds,
    check_temperature,
)
from keras_tim.models.processor import pictures_together
from keras_tim.models.tiles import TiledSampler
from keras_tim.models.tower import LARGEST_INDEX


class Sampler:
    """Draws codes for a tower and makes their pictures.

    Args:
        tim: a `Tower`. Changes to its weights are seen.
    """

    def __init__(self, tim):
        self._tim = tim
        on_jax = keras.backend.backend() == "jax"
        self._together = 1 if on_jax else pictures_together()
        generator = Generator(tim, together=self._together)
        # Once for all samples: of small pictures it would take a third of the
        # time.
        known = {} if on_jax else plain_kernels(tim)

        def scope(kernels):
            # Known kernels belong to one layer each: what is traced with those
            # of one would give all others the same.
            if known:
                return known_kernels(dict(zip(known, kernels, strict=True)))
            return layers_alike_traced_once()

        def begin(kernels, given):
            with scope(kernels):
                return generator.begin(given)

        def alike(kernels, *arguments):
            with scope(kernels):
                return generator.samples_begun(*arguments)

        self._tiled = None
        if on_jax:
            self._kernels = list
            self._begin = _compiled_by_jax(tim, begin)
            self._alike = _compiled_by_jax(tim, alike)
            self._several = _compiled_by_jax(tim, self._pictures)
            return
        self._tiled = TiledSampler(tim, generator)
        self._kernels = tf.function(
            lambda: list(plain_kernels(tim).values()), autograph=False
        )
        self._begin = tf.function(
            begin,
            input_signature=[
                [tf.TensorSpec(kernel.shape) for kernel in known.values()],
                tf.TensorSpec([None, None, tim.input_channels]),
            ],
            autograph=False,
        )
        self._alike = tf.function(alike, reduce_retracing=True, autograph=False)
        self._several = tf.function(
            self._pictures, reduce_retracing=True, autograph=False
        )

    @property
    def tiled(self):
        """A `TiledSampler`, which makes pictures of any size.

        Raises:
            ValueError: on JAX.
        """
        check_tensorflow("`tile`")
        return self._tiled

    def sample(
        self,
        inputs,
        num_samples,
        seed,
        batch_size,
        temperature,
        verbose,
        first,
        tile,
    ):
        """See `keras_tim.TIM.sample`."""
        first = integer("first", first, least=0, most=LARGEST_INDEX)
        listed = isinstance(inputs, list | tuple)
        if tile is not None:
            tiled = self._in_tiles(
                inputs, num_samples, seed, temperature, verbose, first, tile
            )
            if tiled is not None:
                return tiled
        inputs = check_inputs(self._tim, inputs)
        num_samples = integer("num_samples", num_samples)
        batch_size = integer("batch_size", batch_size)
        check_temperature(temperature)
        # Coarser levels' inputs that are given, and other precisions, are made
        # as in a batch.
        alone = (
            batch_size == 1
            and self._tim.compute_dtype == "float32"
            and (len(inputs) == 1 or not listed)
        )
        make = self._make_alike() if alone else self._make_several
        temperature = ops.convert_to_tensor(temperature, "float32")
        batch = int(inputs[0].shape[0])
        seeds = np.asarray(check_seeds(seed, batch))
        if not batch:
            size = self._tim.output_size(inputs)
            return np.zeros((0, num_samples, *size, 3), "float32")
        rows = np.repeat(np.arange(batch), num_samples)
        indices = np.tile(first + np.arange(num_samples, dtype="int64"), batch)
        if keras.backend.backend() == "jax":
            indices = jax_codes.words(indices)
        bar = keras.utils.Progbar(len(rows)) if verbose else None
        samples = None
        if alone:
            # Samples of one input, however many are made at a time.
            starts = [
                row * num_samples + number
                for row in range(batch)
                for number in range(0, num_samples, self._together)
            ]
        else:
            starts = range(0, len(rows), batch_size)
        for start, stop in itertools.pairwise([*starts, len(rows)]):
            chunk = rows[start:stop]
            pictures = make(
                inputs,
                chunk,
                ops.convert_to_tensor(seeds[chunk]),
                ops.convert_to_tensor(indices[start:stop]),
                temperature,
            )
            pictures = ops.convert_to_numpy(pictures)
            if samples is None:
                samples = np.empty(
                    (len(rows), *pictures.shape[1:]), dtype="float32"
                )
            samples[start:stop] = pictures
            if bar:
                bar.update(stop)
        return samples.reshape(batch, num_samples, *samples.shape[1:])

    def _in_tiles(
        self, inputs, num_samples, seed, temperature, verbose, first, tile
    ):
        """What `sample` returns; None where pictures are to be made whole."""
        tim = self._tim
        if isinstance(inputs, list | tuple):
            if len(inputs) != 1:
                raise ValueError(
                    "`tile` must be None where coarser levels' inputs are "
                    f"given: tiles take the finest one. Received: tile={tile}"
                )
            (inputs,) = inputs
        finest = np.asarray(
            check_pictures(inputs, tim.input_channels, "inputs")
        )
        check_divides(finest, tim.input_multiple)
        num_samples = integer("num_samples", num_samples)
        check_temperature(temperature)
        seeds = np.asarray(check_seeds(seed, len(finest)))
        tile = self.tiled.tile_of(tile, *finest.shape[1:3])
        if tile is None or not len(finest):
            return None
        size = [tim.output_factor * n for n in finest.shape[1:3]]
        samples = np.empty((len(finest), num_samples, *size, 3), "float32")
        bar = (
            keras.utils.Progbar(len(finest) * num_samples) if verbose else None
        )
        for row, (given, seed) in enumerate(zip(finest, seeds, strict=True)):
            for number in range(num_samples):
                index = first + number
                top = 0
                for part in self.tiled.rows(
                    given, seed, index, tile, temperature
                ):
                    samples[row, number, top : top + len(part)] = part
                    top += len(part)
                if bar:
                    bar.add(1)
        return samples

    def _make_alike(self):
        """A function like `_make_several` for samples of one input."""
        kernels = self._kernels()
        # Of the input whose turn it is, for all of its samples.
        kept = {}

        def make(inputs, rows, seeds, indices, temperature):
            row, count = rows[0], len(rows)
            given = inputs[-1][row]
            if row not in kept:
                kept.clear()
                kept[row] = self._begin(kernels, given)
            if count < self._together:  # the last one beside itself
                indices = ops.repeat(indices, self._together, axis=0)
            made = self._alike(
                kernels,
                given,
                kept[row],
                seeds[0],
                indices,
                temperature,
            )
            return made[:count]

        return make

    def _make_several(self, inputs, rows, seeds, indices, temperature):
        """Pictures of the inputs' rows, `[n, height, width, 3]`."""
        return self._several(
            [ops.take(x, rows, axis=0) for x in inputs],
            seeds,
            indices,
            temperature,
        )

    def _pictures(self, inputs, seeds, indices, temperature):
        """One picture per (input, seed, index)."""
        tim = self._tim
        drawn = codes.draw_codes(
            seeds,
            indices[:, None],
            tim.noise_sizes(inputs),
            tim.style_dim,
            tim.noise_channels,
            style_sizes=tim.style_sizes(inputs),
        )
        scaled = [
            (temperature * style, temperature * noise) for style, noise in drawn
        ]
        return tim.decode(inputs, scaled)[-1]


def _compiled_by_jax(tim, function):
    """A function of arrays that reads a tower's weights as they are then."""

    @jax.jit
    def compiled(values, *arguments):
        mapping = list(zip(tim.variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return function(*arguments)

    return lambda *arguments: compiled(
        [x.value for x in tim.variables], *arguments
    )
