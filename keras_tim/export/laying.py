"""Large pictures reduced first, and results laid onto them, inside a graph.

`keras_tim.inference.last_steps.LaidOnto` does the same with files. Layers are
enlarged by TensorFlow's Lanczos filter here and by Pillow's there: results
differ by rounding.
"""

import tensorflow as tf

from keras_tim.export.encoded import to_bytes
from keras_tim.layers.resampling import bicubic_resize

# Pixels whose colours are worked out at a time.
_PIXELS = 1 << 20


def reduced_and_laid(task, rgb):
    """What a model is given of a picture, and what its results are laid onto.

    Args:
        task: a `keras_tim.tasks.Task` with a `working_side`.
        rgb: float32 tensor `[height, width, 3]` in [0, 1].

    Returns:
        float32 tensor `[h, w, 3]`, the picture reduced; and a function from
        what the model makes of it, `[h', w', 3]` with at least h rows and w
        columns, to uint8 `[height, width, 3]`.
    """
    height, width = tf.unstack(tf.shape(rgb)[:2])
    factor = task.reduction(height, width)
    h, w = height // factor, width // factor

    def reduced():
        small = bicubic_resize(rgb[None], h, w)[0]
        return tf.clip_by_value(small, 0.0, 1.0)

    small = tf.cond(factor > 1, reduced, lambda: rgb)

    def finish(made):
        made = made[:h, :w]
        return tf.ensure_shape(
            tf.cond(
                factor > 1,
                lambda: _laid(task, made, rgb),
                lambda: to_bytes(made),
            ),
            [None, None, 3],
        )

    return tf.ensure_shape(small, [None, None, 3]), finish


def _laid(task, made, rgb):
    """Bytes of a result laid onto a picture, band by band."""
    size = tf.shape(rgb)[:2]
    layer = tf.image.resize(
        task.layer_of(made), size, tf.image.ResizeMethod.LANCZOS3
    )
    layer = tf.clip_by_value(layer, 0.0, 1.0)
    rows = tf.maximum(_PIXELS // size[1], 1)
    count = -(-size[0] // rows)
    bands = tf.TensorArray(
        tf.uint8, count, infer_shape=False, element_shape=[None, None, 3]
    )

    def add(number, bands):
        part = slice(number * rows, (number + 1) * rows)
        band = task.laid_onto(layer[part], task.of_rgb(rgb[part]))
        return number + 1, bands.write(number, to_bytes(band))

    _, bands = tf.while_loop(
        lambda number, _: number < count, add, (0, bands), parallel_iterations=1
    )
    return bands.concat()
