import keras
import numpy as np
import pytest

from keras_tim import LPIPS
from keras_tim.imle.distances import SelectionDistance


def pictures(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((*shape, 3), dtype="float32")


@pytest.mark.parametrize("distance", ["lpips", "", 3, None, ["lpips_vgg"]])
def test_refuses_other_distances(distance):
    with pytest.raises(ValueError, match="`distance` must be"):
        SelectionDistance(distance)


def test_refuses_a_negative_pixel_weight(mean_square_distance):
    with pytest.raises(ValueError, match=r"pixel_weight=-0\.1"):
        SelectionDistance(mean_square_distance, pixel_weight=-0.1)


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_names_stand_for_lpips(net):
    layer = SelectionDistance(f"lpips_{net}").distance
    assert isinstance(layer, LPIPS)
    assert layer.net == net


def test_mean_squared_error_by_name(make_tim, tmp_path):
    distance = SelectionDistance("mean_squared_error").distance
    a = np.zeros((2, 1, 2, 3), "float32")
    b = np.zeros((2, 1, 2, 3), "float32")
    b[0, 0, 0] = [0.5, 1.0, 0.5]
    # (0.25 + 1 + 0.25) / 6
    np.testing.assert_allclose(distance(a, b), [0.25, 0.0])
    tim = make_tim(quick=True)
    tim.compile(distance="mean_squared_error")
    tim.save(tmp_path / "tim.keras")
    loaded = keras.models.load_model(tmp_path / "tim.keras")
    assert loaded.get_compile_config()["distance"] == (
        keras.saving.serialize_keras_object(distance)
    )


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_callable_of_many_candidates(mean_square_distance, weight):
    distance = SelectionDistance(mean_square_distance, pixel_weight=weight)
    candidates, targets = pictures(2, 3, 4, 5), pictures(2, 4, 5, seed=1)
    found = distance.compare(
        distance.features(candidates),
        {k: v[:, None] for k, v in distance.features(targets).items()},
    )
    difference = candidates - targets[:, None]
    expected = (difference**2).mean(axis=(2, 3, 4))
    expected += weight * np.abs(difference).mean(axis=(2, 3, 4))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_lpips_of_many_candidates(lpips_weights, weight):
    lpips = LPIPS("alex")
    distance = SelectionDistance(lpips, pixel_weight=weight)
    distance.build(channels=3)
    candidates, targets = pictures(4, 32, 40), pictures(2, 32, 40, seed=1)
    features = keras.tree.map_structure(
        lambda x: np.reshape(x, (2, 2, *x.shape[1:])),
        distance.features(candidates),
    )
    found = distance.compare(
        features,
        keras.tree.map_structure(
            lambda x: x[:, None], distance.features(targets)
        ),
    )
    pairs = targets.repeat(2, axis=0)
    expected = np.asarray(lpips(candidates, pairs))
    expected = expected + weight * np.abs(candidates - pairs).mean((1, 2, 3))
    np.testing.assert_allclose(np.ravel(found), expected, atol=1e-5)


def test_mixtures_are_also_given_as_text():
    mixed = SelectionDistance("lpips_vgg+0.5*lpips_alex").distance
    assert mixed.parts == {"lpips_vgg": 1.0, "lpips_alex": 0.5}
    assert SelectionDistance("0.2 * lpips_alex").distance.parts == {
        "lpips_alex": 0.2
    }
    for text in (
        *("lpips_vgg+ssim", "-1*lpips_vgg", "x*lpips_vgg", "+"),
        *("nan*lpips_vgg", "inf*lpips_vgg", "lpips_vgg+lpips_vgg"),
    ):
        with pytest.raises(ValueError, match="`distance` must be a sum"):
            SelectionDistance(text)
