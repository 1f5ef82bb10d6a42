import json
import math

import numpy as np
import pytest

from keras_tim.runs import RunSettings


def test_intervals_share_one_spread(import_benchmark):
    half_width = import_benchmark("study").half_width_of_means
    # Variances over seeds 2 and 0: their mean is 1, with two degrees of
    # freedom, whose quantile at 97.5% is 4.3027.
    found = half_width([[1.0, 3.0], [5.0, 5.0]])
    assert found == pytest.approx(4.30265 / math.sqrt(2), rel=1e-5)
    assert half_width([[1.0], [2.0]]) is None


def test_intervals_cover_the_mean(import_benchmark):
    half_width = import_benchmark("study").half_width_of_means
    values = np.random.default_rng(0).normal(size=(2000, 5, 2))
    covered = [np.abs(draw.mean(axis=1)) <= half_width(draw) for draw in values]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.01)


def test_measures_are_taken_once(import_benchmark, tmp_path):
    study = import_benchmark("study")
    settings, calls = RunSettings(), []

    def measure():
        calls.append(1)
        return {"fid": 2.5}

    for _ in range(2):
        found = study.measured_once(tmp_path, settings, measure)
        assert found == {"fid": 2.5}
    assert len(calls) == 1
    stored = json.loads((tmp_path / "measures.json").read_text())
    assert stored == {"fid": 2.5}


def test_measures_of_earlier_words_are_read(import_benchmark, tmp_path):
    study = import_benchmark("study")
    earlier = {
        "alex_best": [0.1],
        "kid": 0.5,
        "baseline": {"vgg_mean": [0.2], "name": "bicubic"},
    }
    (tmp_path / "test.json").write_text(json.dumps(earlier))
    found = study.measured_once(tmp_path, RunSettings(), dict, "test.json")
    assert found == {
        "lpips_alex_best": [0.1],
        "kid": 0.5,
        "baseline": {"lpips_vgg_mean": [0.2], "name": "bicubic"},
    }


def test_measures_of_other_settings_are_refused(import_benchmark, tmp_path):
    study = import_benchmark("study")
    config = {"settings": RunSettings(steps=7).jsonable()}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(FileExistsError, match=r"settings \(steps\)"):
        study.measured_once(tmp_path, RunSettings(steps=8), dict)
    same = study.measured_once(tmp_path, RunSettings(steps=7), dict)
    assert same == {}
