"""Every measure of pictures refuses what is not in [0, 1]."""

import numpy as np
import pytest

from keras_tim import LPIPS
from keras_tim.metrics import (
    InceptionFeatures,
    faithfulness_weighted_variance,
    fidelity_summary,
    low_resolution_psnr,
    lpips_diversity,
    lpips_to_target,
    ntire_diversity,
    picture_features,
    psnr,
    recompressed_psnr,
    ssim,
)

RANDOM = np.random.RandomState(0)
SAMPLES = RANDOM.rand(1, 2, 32, 32, 3).astype("float32")
TARGETS = RANDOM.rand(1, 32, 32, 3).astype("float32")


@pytest.fixture(scope="module")
def distance():
    return LPIPS("alex", weights=None)


MEASURES = {
    "diversity": lambda s, t, d: lpips_diversity(s, d),
    "variance": lambda s, t, d: faithfulness_weighted_variance(s, t, 0.2, d),
    "ntire": lambda s, t, d: ntire_diversity(s, t, d),
    "lpips": lambda s, t, d: lpips_to_target(s[0], t[0], d),
    "summary": lambda s, t, d: fidelity_summary(s[0], t[0], "lpips", d),
    "psnr": lambda s, t, d: psnr(s, t),
    "ssim": lambda s, t, d: ssim(s, t),
    "low_resolution": lambda s, t, d: low_resolution_psnr(s[0], t[0, ::2, ::2]),
    "recompressed": lambda s, t, d: recompressed_psnr(s[0], t[0]),
    "features": lambda s, t, d: picture_features(s, lambda x: x[:, 0, 0]),
    "inception": lambda s, t, d: InceptionFeatures(weights=None)(s[0]),
}
OF_SAMPLES_ALONE = ("diversity", "features", "inception")


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("scale", [lambda x: 255 * x, lambda x: 2 * x - 1])
def test_measures_refuse_other_ranges(measure, scale, distance):
    function = MEASURES[measure]
    wrong = [(scale(SAMPLES), TARGETS)]
    if measure not in OF_SAMPLES_ALONE:
        wrong.append((SAMPLES, scale(TARGETS)))
    for samples, targets in wrong:
        with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
            function(samples, targets, distance)
