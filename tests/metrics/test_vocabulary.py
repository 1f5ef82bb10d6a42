import pytest

from keras_tim.metrics.vocabulary import MEASURES, measures_of
from keras_tim.tasks import get_task


def test_keys_are_named_in_the_order_of_tables():
    keys = ("ntire_vgg", "variance_alex_0.3", "psnr_best", "lpips_vgg_mean")
    measures = measures_of(keys)
    assert [measure.key for measure in measures] == list(keys[::-1])
    assert [measure.label for measure in measures] == [
        "LPIPS-vgg, mean of samples",
        "PSNR, best sample [dB]",
        "Diversity: faithfulness-weighted variance, alex, bandwidth 0.3",
        "Diversity: NTIRE 2021 score, vgg [%]",
    ]
    assert [measure.better for measure in measures] == ["lower"] + 3 * [
        "higher"
    ]


def test_a_key_is_one_measure_alone():
    words = {"net": "alex", "bandwidth": "0.15"}
    keys = [measure.key.format(**words) for measure in MEASURES]
    assert len(set(keys)) == len(keys)
    measures = measures_of(keys, get_task("colourization"))
    assert [measure.key for measure in measures] == keys
    assert not [m.label for m in measures if "{" in m.label or not m.better]


@pytest.mark.parametrize("key", ["lpips_mean", "psnr", "Psnr_mean", ""])
def test_other_keys_are_refused(key):
    with pytest.raises(ValueError, match="`keys` must be of measures"):
        measures_of([key])
