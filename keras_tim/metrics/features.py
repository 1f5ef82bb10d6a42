"""Features of many pictures, a batch at a time."""

import keras
import numpy as np

from keras_tim.checks import integer
from keras_tim.metrics.fidelity import quantised
from keras_tim.metrics.inception import InceptionFeatures


def picture_features(pictures, extractor=None, batch_size=32):
    """Features of pictures, each as it would be in a file.

    Args:
        pictures: Array of shape `(..., height, width, 3)`, uint8 or floats in
            `[0, 1]`, with one leading axis or more; or an iterable of such
            arrays, for instance a `tf.data.Dataset` of batches or a list of
            pictures of several sizes. Of a data set of pairs
            `(inputs, targets)` it must be said which are meant, see the
            example.
        extractor: Keras layer or model, or any callable, from float32
            pictures `[batch, height, width, 3]` in `[0, 1]`, rounded to 8
            bits, to features `[batch, features]`;
            `keras_tim.metrics.InceptionFeatures()` by default.
        batch_size: Int, pictures per call of the extractor; bounds the
            memory, and changes the features by rounding errors alone.

    Returns:
        A float32 array of shape `(pictures, features)`.

    Raises:
        ValueError: If an argument is not as described.

    Example:
        ```python
        picture_features(pairs.map(lambda inputs, targets: targets))
        ```
    """
    batches = list(feature_batches(pictures, extractor, batch_size))
    if not batches:
        raise ValueError("`pictures` must not be empty. Received: no picture")
    return np.concatenate(batches)


def feature_batches(pictures, extractor=None, batch_size=32):
    """Yields `picture_features` a batch at a time.

    Args:
        pictures: See `picture_features`.
        extractor: See `picture_features`.
        batch_size: See `picture_features`.

    Yields:
        Float32 arrays of shape `(batch, features)`.

    Raises:
        ValueError: If an argument is not as described.
    """
    batch_size = integer("batch_size", batch_size)
    if extractor is None:
        extractor = InceptionFeatures()
    for group in _groups(pictures):
        for start in range(0, len(group), batch_size):
            yield _extracted(extractor, group[start : start + batch_size])


def _groups(pictures):
    """Yields arrays `(pictures, height, width, 3)`, one after another."""
    if hasattr(pictures, "shape"):
        yield _flat(np.asarray(pictures))
        return
    # Tuples are what Keras and TensorFlow make of pairs.
    unclear = isinstance(pictures, tuple | dict | str)
    for group in [pictures] if unclear else pictures:
        if not hasattr(group, "shape"):
            raise ValueError(
                "`pictures` must be an array, or a data set or list of arrays. "
                "Of pairs (inputs, targets) both would be counted: choose one, "
                "as by `pairs.map(lambda inputs, targets: targets)`. Received: "
                f"{_described(group)}"
            )
        yield _flat(np.asarray(group))


def _described(group):
    kind = f"a {type(group).__name__}"
    if not isinstance(group, tuple | list | dict):
        return kind
    shapes = [getattr(part, "shape", "?") for part in group]
    return f"{kind} of {len(shapes)} of shapes {', '.join(map(str, shapes))}"


def _flat(pictures):
    """Pictures `(..., height, width, 3)` with one leading axis."""
    if pictures.ndim < 3 or pictures.shape[-1] != 3:
        raise ValueError(
            "`pictures` must have the shape (..., height, width, 3). "
            f"Received: pictures.shape={pictures.shape}"
        )
    return pictures.reshape(-1, *pictures.shape[-3:])


def _extracted(extractor, pictures):
    if pictures.dtype == np.uint8:
        levels = pictures
    else:
        levels = quantised(pictures, "pictures")
    pictures = levels.astype(np.float32) / np.float32(255.0)
    if isinstance(extractor, keras.layers.Layer):
        features = extractor(pictures, training=False)
    else:
        features = extractor(pictures)
    features = keras.ops.convert_to_numpy(features)
    if features.ndim != 2 or len(features) != len(pictures):
        raise ValueError(
            "`extractor` must give features of shape (batch, features). "
            f"Received: shape {features.shape} for {len(pictures)} pictures"
        )
    return features.astype(np.float32)


def check_features(features, name):
    """Validates features.

    Args:
        features: Array of shape `(pictures, features)`.
        name: What error messages call them.

    Returns:
        `features` as an array.

    Raises:
        ValueError: If the shape is another or a value is not finite.
    """
    features = np.asarray(features)
    if features.ndim != 2 or 0 in features.shape:
        raise ValueError(
            f"`{name}` must have the shape (pictures, features), neither of "
            f"them 0. Received: {name}.shape={features.shape}"
        )
    finite = np.isfinite(features)
    if not finite.all():
        raise ValueError(
            f"`{name}` must be finite. Received: {name} with "
            f"{int((~finite).sum())} values that are NaN or infinite"
        )
    return features
