import io
import json
import os
import zipfile

import h5py
import keras
import numpy as np
import pytest

from keras_tim import TIM
from keras_tim.models.model_file import ModelFileError, load_tim
from keras_tim.runs import load_run


@keras.saving.register_keras_serializable(package="test_model_file")
class OtherTIM(TIM):
    """A child of the user's own."""


@pytest.fixture(scope="module")
def content(tmp_path_factory, make_tim):
    """The bytes of a `.keras` file."""
    tim = make_tim(quick=True, input_skip=True)
    optimizer = keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(1e-3, 10**6)
    )
    tim.compile(optimizer, distance="mean_squared_error")
    path = tmp_path_factory.mktemp("model") / "model.keras"
    tim.save(path)
    return path.read_bytes()


@pytest.fixture
def rewrite(content, tmp_path):
    """Writes the file anew, with something changed.

    Callable `(change, weights, method, extra)`: `change` changes the
    configuration, `weights` the HDF5 file, or is other bytes for it.
    """

    def rewritten(
        change=None, weights=None, method=zipfile.ZIP_STORED, extra=None
    ):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        if change is not None:
            config = json.loads(members["config.json"])
            config = change(config) or config
            members["config.json"] = json.dumps(config).encode()
        if callable(weights):
            stream = io.BytesIO(members["model.weights.h5"])
            with h5py.File(stream, "r+") as file:
                weights(file)
            members["model.weights.h5"] = stream.getvalue()
        elif weights is not None:
            members["model.weights.h5"] = weights
        path = tmp_path / "hostile.keras"
        with zipfile.ZipFile(path, "w", method) as archive:
            for name, member in {**members, **(extra or {})}.items():
                archive.writestr(name, member)
        return path

    return rewritten


@pytest.fixture
def refused(monkeypatch):
    """Callable `(path, message, compile)`: refused before Keras sees it."""

    def check(path, message, compile=False):
        with monkeypatch.context() as patch:
            patch.setattr(
                keras.models,
                "load_model",
                lambda *_, **__: pytest.fail("handed to Keras"),
            )
            with pytest.raises(ModelFileError, match=message) as error:
                load_tim(path, compile=compile)
        assert str(path) in str(error.value)

    return check


def first_array(file):
    """A weight, number 0 of its group."""
    found = []
    file.visititems(
        lambda name, item: (
            found.append(item) if isinstance(item, h5py.Dataset) else None
        )
    )
    return next(item for item in found if item.name.endswith("/0"))


# What is read.


@pytest.mark.parametrize("compile", [False, True])
def test_loads_what_was_saved(rewrite, compile):
    tim = load_tim(rewrite(), compile=compile)
    assert type(tim) is TIM
    assert tim.compiled == compile
    expected = keras.models.load_model(rewrite(), compile=False)
    for a, b in zip(tim.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "bfloat16", "float16"])
def test_loads_other_types(make_tim, tmp_path, dtype):
    tim = make_tim(quick=True, dtype=dtype)
    tim.save(tmp_path / "half.keras")
    again = load_tim(tmp_path / "half.keras")
    assert again.dtype_policy.name == dtype
    for a, b in zip(tim.weights, again.weights, strict=True):
        np.testing.assert_array_equal(
            np.asarray(a, "float32"), np.asarray(b, "float32")
        )


def test_loads_children_of_the_users_own(tmp_path, make_tim):
    config = make_tim(quick=True).get_config()
    OtherTIM(**config).save(tmp_path / "other.keras")
    assert type(load_tim(tmp_path / "other.keras")) is OtherTIM


def test_run_folders(rewrite, tmp_path):
    rewrite().rename(tmp_path / "model.keras")
    assert type(load_run(tmp_path)) is TIM
    with pytest.raises(FileNotFoundError, match="There is no model at"):
        load_run(tmp_path / "absent.keras")
    (tmp_path / "model.keras").write_bytes(b"text")
    with pytest.raises(ValueError, match=r"model\.keras is damaged"):
        load_run(tmp_path)


# The archive.


def test_archives_of_other_members_are_refused(rewrite, refused):
    extra = {"assets/../../outside.txt": b"outside"}
    refused(rewrite(extra=extra), r"does not hold config\.json, meta")


def test_compressed_members_are_refused(rewrite, refused):
    path = rewrite(method=zipfile.ZIP_DEFLATED)
    refused(path, r"\.\w+ is compressed")


def test_large_configurations_are_refused(rewrite, refused):
    path = rewrite(lambda config: {**config, "more": "x" * 2**20})
    refused(path, "more than 1048576 bytes")


def test_a_changed_bit_of_the_weights_is_seen(content, tmp_path, refused):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        info = archive.getinfo("model.weights.h5")
    changed = bytearray(content)
    changed[info.header_offset + info.file_size // 2] ^= 1
    path = tmp_path / "changed.keras"
    path.write_bytes(changed)
    refused(path, "Bad CRC-32")


@pytest.mark.parametrize("part", [0, 10, -30, 0.5])
def test_truncated_files_are_refused(content, tmp_path, refused, part):
    path = tmp_path / "short.keras"
    kept = int(part * len(content)) if isinstance(part, float) else part
    path.write_bytes(content[:kept])
    refused(path, "damaged or not a model")


@pytest.mark.parametrize(
    "config", [None, 3, [], {}, {"class_name": "TIM"}, "text"]
)
def test_other_configurations_are_refused(rewrite, refused, config):
    path = rewrite(extra={"config.json": json.dumps(config)})
    refused(path, "damaged or not a model")


def test_nested_json_is_refused(rewrite, refused):
    path = rewrite(extra={"config.json": b"[" * 500_000})
    refused(path, "damaged or not a model")


# Classes.


def test_other_models_are_refused(tmp_path, refused):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.save(tmp_path / "other.keras")
    refused(tmp_path / "other.keras", r"holds a keras\.Sequential, not a TIM")


CLASSES = {
    "a layer of Keras that runs a SavedModel": {
        "module": "keras.layers",
        "class_name": "TFSMLayer",
        "config": {"filepath": "/tmp"},
        "registered_name": None,
    },
    "code": {
        "module": "builtins",
        "class_name": "__lambda__",
        "config": {"value": "4wEAAAA="},
    },
    "an array of giant elements": {
        "module": "builtins",
        "class_name": "__numpy__",
        "config": {"value": ["a"], "dtype": "S2000000000"},
    },
    "a module": {
        "module": "keras.src.saving.saving_lib",
        "class_name": "H5IOStore",
        "config": {"path_or_io": "/tmp/x"},
        "registered_name": None,
    },
    "no names": {"module": 3, "class_name": ["TIM"], "config": {}},
    "a function of Keras": {
        "module": "keras.utils",
        "class_name": "function",
        "config": "get_file",
        "registered_name": "get_file",
    },
}


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("place", ["dtype", "optimizer", "distance", "metrics"])
def test_other_classes_are_refused(rewrite, refused, kind, place):
    def change(config):
        if place == "dtype":
            config["config"]["dtype"] = CLASSES[kind]
        else:
            config["compile_config"][place] = [{"deep": CLASSES[kind]}]

    refused(rewrite(change), "which no model of this package needs", True)


def test_metrics_of_giant_numbers_are_refused(rewrite, refused):
    def change(config):
        config["compile_config"]["metrics"] = [
            {
                "module": "keras.metrics",
                "class_name": "MeanIoU",
                "config": {"num_classes": 10**6, "name": "large"},
                "registered_name": None,
            }
        ]

    refused(rewrite(change), "number that is too large", True)
    # It is not made unless the model is compiled.
    assert type(load_tim(rewrite(change))) is TIM


def test_no_path_of_the_configuration_is_opened(rewrite, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # whoever opens it waits for ever

    def change(config):
        config["compile_config"]["distance"] = {
            "module": "keras_tim.perceptual.lpips",
            "class_name": "LPIPS",
            "config": {"net": "alex", "weights": str(pipe)},
            "registered_name": "keras_tim>LPIPS",
        }

    tim = load_tim(rewrite(change), compile=True)
    with pytest.raises(RuntimeError, match="opens no path"):
        tim.fit(
            np.zeros((1, 8, 8, 3), "float32"),
            np.zeros((1, 32, 32, 3), "float32"),
            verbose=0,
        )


# Sizes.


@pytest.mark.parametrize(
    "arguments",
    [
        {"residual_channels": [8, 100_000]},
        {"growth_channels": [10**6, 3], "num_blocks": 1},
        {"num_blocks": 10**6},
        {"style_dim": 10**7, "num_blocks": 1},
        {"noise_channels": 10**6},
        {"mapping_network": True, "mapping_width": 10**5},
        {"mapping_network": True, "mapping_depth": 10**6},
        {"task": "layout_synthesis", "input_channels": 10**6},
        {"residual_channels": [8] * 10**4, "growth_channels": [4] * 10**4},
    ],
)
def test_models_larger_than_their_weights_are_refused(
    rewrite, refused, arguments
):
    def change(config):
        config["config"] |= {"input_skip": False, **arguments}

    refused(rewrite(change), r"its model takes at least \d+ bytes")


def test_arguments_that_are_left_out_are_not_the_published_ones(
    rewrite, refused
):
    def change(config):
        config["config"] = {"task": "super_resolution"}

    refused(rewrite(change), "`residual_channels` must be a list")


# The weights.


def test_other_weights_are_refused(rewrite, refused):
    for weights in (b"", b"text", b"\x89HDF\r\n\x1a\n" + bytes(200)):
        refused(rewrite(weights=weights), "damaged or not a model")


def test_links_are_refused(rewrite, refused, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def external(file):
        group = first_array(file).parent
        del group["0"]
        group["0"] = h5py.ExternalLink(str(pipe), "/")

    def soft(file):
        file["more"] = h5py.SoftLink(first_array(file).name)

    for change in (external, soft):
        refused(rewrite(weights=change), r"h5 has a link at .*(0|more)$")


def test_arrays_elsewhere_are_refused(rewrite, refused, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(64))

    def external(file):
        file.create_dataset(
            "more", (16,), "f4", external=[(str(secret), 0, 64)]
        )

    def virtual(file):
        layout = h5py.VirtualLayout((4,), "f4")
        layout[:] = h5py.VirtualSource(str(secret), "a", (4,))
        file.create_virtual_dataset("more", layout)

    def objects(file):
        file.create_dataset("more", data=["text"])

    for change in (external, virtual, objects):
        refused(rewrite(weights=change), "holds no numbers at more")


def test_arrays_larger_than_the_file_are_refused(rewrite, refused):
    def never_written(file):
        file.create_dataset("more", (2**31,), "f4")

    def compressed(file):
        file.create_dataset(
            "more", data=np.zeros(2**20, "f4"), compression="gzip"
        )

    def many(file):
        for i in range(100):
            file.create_dataset(f"more{i}", (2**15,), "f4")

    for change in (never_written, compressed, many):
        refused(rewrite(weights=change), "claims more arrays than it holds")


def test_missing_and_misshapen_arrays_are_named(rewrite):
    def without(file):
        del first_array(file).parent["0"]

    def misshapen(file):
        group = first_array(file).parent
        del group["0"]
        group["0"] = np.zeros(3, "f4")

    for change in (without, misshapen):
        with pytest.raises(ModelFileError, match=r"hostile\.keras is damaged"):
            load_tim(rewrite(weights=change))
