"""FID and KID of an evaluation, from features kept on disk."""

import warnings

import numpy as np

from keras_tim.assets.npz import NpzError, read_npz
from keras_tim.evaluation.table import table_row
from keras_tim.files import written
from keras_tim.metrics import (
    FeatureStatistics,
    InceptionFeatures,
    SampleSizeWarning,
    kernel_distance,
    picture_features,
)
from keras_tim.metrics.frechet import distance_of_statistics
from keras_tim.metrics.vocabulary import measures_of


class SetFeatures:
    """Writes features of a picture's samples, to be compared as sets later.

    Args:
        extractor: see `keras_tim.metrics.picture_features`.
    """

    def __init__(self, extractor=None):
        # Inception reads its weights when it is first used.
        self._extractor = extractor or InceptionFeatures()

    def write(self, path, samples, target, baseline):
        """Writes features of one picture.

        Args:
            path: str, of a `.npz` file.
            samples: array `[m, height, width, 3]`, float in [0, 1].
            target: array `[height, width, 3]`.
            baseline: the same, or None.
        """
        pictures = {"samples": samples, "target": target[None]}
        if baseline is not None:
            pictures["baseline"] = baseline[None]
        features = {
            name: picture_features(group, self._extractor, batch_size=8)
            for name, group in pictures.items()
        }
        with written(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **features)


def are_features(path):
    """Whether a file of `SetFeatures.write` is there and whole."""
    try:
        return {"samples", "target"} <= read_npz(path).keys()
    except (OSError, NpzError):
        return False


def set_rows(paths, seed):
    """Lines of the table: FID and KID against the observed outputs.

    Statistics for FID are streamed; for KID the features of one sample per
    picture are kept, 8 KB each.

    Args:
        paths: files of `SetFeatures.write`, one per picture.
        seed: int, see `kernel_distance`.

    Returns:
        Tuple of a list of dicts as `table_row` gives them, and a list of
        notes.
    """
    real, every = FeatureStatistics(), FeatureStatistics()
    single = {"target": [], "samples": [], "baseline": []}
    for path in paths:
        with np.load(path) as stored:
            real.update(stored["target"])
            every.update(stored["samples"])
            for name in stored.files:
                single[name].append(stored[name][:1])
    single = {
        name: np.concatenate(features)
        for name, features in single.items()
        if features
    }
    rows = {
        measure.key: table_row(measure, [], n=len(paths))
        for measure in measures_of(
            ("fid_one_sample", "fid_all_samples", "kid_one_sample")
        )
    }
    for name in ("samples", "baseline"):
        if name not in single:
            continue
        statistics = FeatureStatistics()
        statistics.update(single[name])
        rows["fid_one_sample"][name] = _frechet(real, statistics)
        found = kernel_distance(single["target"], single[name], seed=seed)
        rows["kid_one_sample"][name] = found.value
        rows["kid_one_sample"][f"{name}_standard_error"] = found.standard_error
    rows["fid_all_samples"]["samples"] = _frechet(real, every)
    rows["fid_all_samples"]["n"] = every.count
    notes = []
    if min(real.count, every.count) < real.dimensions:
        notes.append(
            f"FID is biased upwards, by more the fewer pictures there are: it "
            f"is of {real.count} observed pictures and of n generated ones, "
            f"and has {real.dimensions} features. Compare it with FID of the "
            "same numbers only. KID is not biased; its standard error is over "
            "draws of as many pictures."
        )
    return list(rows.values()), notes


def _frechet(real, generated):
    with warnings.catch_warnings():
        # The notes say it.
        warnings.simplefilter("ignore", SampleSizeWarning)
        return distance_of_statistics(real, generated)
