"""A conditional GAN with noise: what cIMLE avoids.

The generator is a TIM, fed with one random code per example; the discriminator
is a PatchGAN that sees input and output; the losses are those of pix2pix
(Isola et al., 2017): least squares for the discriminator, and the same plus a
hundred times the mean absolute difference for the generator. Noise goes in
where TIM has it, so that only the training differs.
"""

import dataclasses
import os

import keras
import tensorflow as tf
from keras import layers

from keras_tim import TIM
from keras_tim.files import save_model
from keras_tim.imle.learning_rates import (
    learning_rate_multipliers,
    scaled_learning_rates,
)
from keras_tim.layers.resampling import bicubic_resize
from keras_tim.models.codes import draw_codes
from keras_tim.recipes import get_recipe

PIXEL_WEIGHT = 100.0
# As pix2pix has them.
LEARNING_RATE = 2e-4
BETA_1 = 0.5


def patch_discriminator(channels, width=64, depth=3):
    """A PatchGAN: one score per overlapping patch of 70 pixels.

    Args:
        channels: int, of input and output together.
        width: int, filters of the first convolution.
        depth: int, convolutions of stride 2.

    Returns:
        A `keras.Model` from `[batch, height, width, channels]` to scores.
    """
    normal = keras.initializers.RandomNormal(0.0, 0.02, seed=0)
    x = inputs = keras.Input((None, None, channels))
    for number in range(depth + 1):
        x = layers.Conv2D(
            width * min(2**number, 8),
            4,
            strides=2 if number < depth else 1,
            padding="same",
            kernel_initializer=normal,
        )(x)
        if number:
            # Statistics of the picture, as pix2pix has with a batch of one.
            x = layers.GroupNormalization(-1, epsilon=1e-5)(x)
        x = layers.LeakyReLU(0.2)(x)
    x = layers.Conv2D(1, 4, padding="same", kernel_initializer=normal)(x)
    return keras.Model(inputs, x)


class ConditionalGAN(keras.Model):
    """Trains a TIM against a discriminator.

    Args:
        tim: the `TIM` that generates.
        seed: int, from which codes are drawn.
    """

    def __init__(self, tim, seed=0):
        super().__init__()
        self.tim = tim
        self.seed = seed
        self.discriminator = patch_discriminator(tim.input_channels + 3)
        self.trackers = {
            name: keras.metrics.Mean(name=name)
            for name in ("generator", "discriminator", "pixels")
        }
        self.built = True

    @property
    def metrics(self):
        return list(self.trackers.values())

    def compile(self, learning_rate=LEARNING_RATE):
        super().compile(run_eagerly=False, jit_compile=False)
        self.optimizers = [
            keras.optimizers.Adam(learning_rate, beta_1=BETA_1)
            for _ in range(2)
        ]
        for optimizer, model in zip(
            self.optimizers, (self.tim, self.discriminator), strict=True
        ):
            optimizer.build(model.trainable_variables)
        # Keras counts steps by it.
        self.optimizer = self.optimizers[0]

    def train_step(self, data):
        inputs, targets = data
        target = targets[-1] if isinstance(targets, tuple) else targets
        finest = inputs[-1] if isinstance(inputs, tuple | list) else inputs
        length = tf.shape(target)[0]
        step = tf.cast(self.optimizers[0].iterations, tf.int64)
        seeds = tf.random.stateless_uniform(
            [length],
            tf.stack([tf.constant(self.seed, tf.int64), step]),
            minval=None,
            maxval=None,
            dtype=tf.int64,
            alg="philox",
        )
        codes = draw_codes(
            seeds,
            tf.zeros([length, 1], tf.int64),
            self.tim.noise_sizes(inputs),
            self.tim.style_dim,
            self.tim.noise_channels,
        )
        condition = bicubic_resize(finest, *target.shape[1:3])

        def score(picture):
            pair = tf.concat([condition, picture], axis=-1)
            return self.discriminator(2.0 * pair - 1.0)

        with tf.GradientTape(persistent=True) as tape:
            made = self.tim.decode(inputs, codes)[-1]
            score_made = score(made)
            # The discriminator learns nothing about the generator's weights.
            wrong = tf.reduce_mean(tf.square(score(tf.stop_gradient(made))))
            right = tf.reduce_mean(tf.square(score(target) - 1.0))
            discriminator_loss = 0.5 * (wrong + right)
            pixels = tf.reduce_mean(tf.abs(made - target))
            fooled = tf.reduce_mean(tf.square(score_made - 1.0))
            generator_loss = fooled + PIXEL_WEIGHT * pixels
        for optimizer, model, loss in (
            (self.optimizers[0], self.tim, generator_loss),
            (self.optimizers[1], self.discriminator, discriminator_loss),
        ):
            variables = model.trainable_variables
            gradients = tape.gradient(loss, variables)
            slower = (
                learning_rate_multipliers(model) if model is self.tim else []
            )
            with scaled_learning_rates(optimizer, slower):
                optimizer.apply(gradients, variables)
        values = {
            "generator": generator_loss,
            "discriminator": discriminator_loss,
            "pixels": pixels,
        }
        for name, value in values.items():
            self.trackers[name].update_state(value)
        return {name: t.result() for name, t in self.trackers.items()}


def train_gan(
    folder, settings, verbose=2, callbacks=(), learning_rate=LEARNING_RATE
):
    """Trains a TIM as a conditional GAN for as many gradient steps as a run.

    Args:
        folder: str; gets `model.keras`.
        settings: a `RunSettings`.
        verbose: as in `keras.Model.fit`.
        callbacks: Keras callbacks.
        learning_rate: float, that of Adam, in place of the settings'.

    Returns:
        The trained `TIM`.
    """
    os.makedirs(folder, exist_ok=True)
    keras.utils.set_random_seed(settings.seed)
    recipe = get_recipe(settings.task)(
        dataclasses.replace(
            settings, images_per_selection=settings.mini_batch_size
        ),
        folder,
    )
    recipe.prepare()
    recipe.save()
    tim = TIM.from_preset(
        settings.preset, **recipe.model_arguments(), **settings.model_switches
    )
    _, excluded = recipe.held_out(tim)
    gan = ConditionalGAN(tim, seed=settings.seed)
    gan.compile(learning_rate)
    gan.fit(
        recipe.dataset(tim, excluded, settings.seed),
        steps_per_epoch=-(-settings.steps // 10),
        epochs=10,
        callbacks=list(callbacks),
        shuffle=False,
        verbose=verbose,
    )
    save_model(tim, os.path.join(folder, "model.keras"))
    return tim
