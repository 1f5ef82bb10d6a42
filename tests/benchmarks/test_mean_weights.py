import numpy as np
import pytest


@pytest.fixture
def mean_weights(import_benchmark):
    return import_benchmark("mean_weights").mean_weights


def test_arrays_are_averaged_name_by_name(mean_weights, tmp_path):
    paths = [tmp_path / "a.npz", tmp_path / "b.npz"]
    for path, value in zip(paths, (1.0, 4.0), strict=True):
        np.savez(path, v=np.full((2, 3), value, "float16"), b=np.zeros(2))
    mean = mean_weights(paths)
    np.testing.assert_array_equal(mean["v"], np.full((2, 3), 2.5))
    assert mean["v"].dtype == np.float32
    assert mean.keys() == {"v", "b"}


def test_weights_of_another_network_are_refused(mean_weights, tmp_path):
    paths = [str(tmp_path / "a.npz"), str(tmp_path / "b.npz")]
    np.savez(paths[0], v=np.zeros((2, 3)))
    np.savez(paths[1], v=np.zeros((2, 4)))
    with pytest.raises(ValueError, match="holds other weights than"):
        mean_weights(paths)
