"""The mean of several trainings' weights, of one network begun alike.

Where a training went on from another, what lies between the two can be better
than both: what each has learned stays, and what is noise in each is halved.

    python benchmarks/mean_weights.py --weights=RUN/weights.npz \
        --weights=MORE/weights.npz --output=weights.npz
"""

import numpy as np
from absl import app, flags

from keras_tim.files import written


def mean_weights(paths):
    """The mean of the arrays of several files.

    Args:
        paths: list of str, files of arrays with the same names and shapes.

    Returns:
        dict from name to float32 array.

    Raises:
        ValueError: if the files hold other arrays than the first.
    """
    total = {}
    for path in paths:
        with np.load(path) as file:
            arrays = {name: file[name].astype("float32") for name in file.files}
        shapes = {name: array.shape for name, array in arrays.items()}
        expected = {name: array.shape for name, array in total.items()}
        if total and shapes != expected:
            odd = sorted(set(shapes.items()) ^ set(expected.items()))
            raise ValueError(
                f"{path} holds other weights than {paths[0]}: {odd[0]}"
            )
        for name, array in arrays.items():
            total[name] = total.get(name, 0.0) + array / len(paths)
    return total


def main(_):
    """Writes the mean."""
    mean = mean_weights(flags.FLAGS.weights)
    with written(flags.FLAGS.output) as partial, open(partial, "wb") as file:
        np.savez(file, **mean)


if __name__ == "__main__":
    flags.DEFINE_multi_string("weights", None, "weights.npz", required=True)
    flags.DEFINE_string("output", None, "the file to write", required=True)
    app.run(main)
