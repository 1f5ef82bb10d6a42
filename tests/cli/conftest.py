import contextlib

import pytest

from keras_tim.cli.main import main
from keras_tim.models.presets import PRESETS

TINY = [
    "--steps=4",
    "--steps_per_selection=2",
    "--images_per_selection=2",
    "--mini_batch_size=1",
    "--num_samples=2",
    "--candidate_chunk=4",
    "--crop_size=32",
    "--epsilon=1e-8",
    "--distance=mean_squared_error",
]

_FEW_LEVELS = ("colourization", "decompression", "paired_images")


@contextlib.contextmanager
def narrow_presets():
    """The nano presets, narrow and without blocks, so that tracing is quick.

    What these tests are about is the same for a model of few levels.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in PRESETS if name.endswith("_nano")]:
            count = len(PRESETS[name]["residual_channels"])
            if PRESETS[name]["task"] in _FEW_LEVELS:
                count = 2
            narrow = {
                "residual_channels": (8,) * count,
                "growth_channels": (4,) * count,
                "num_blocks": 0,
                "mapping_network": False,
            }
            patch.setitem(PRESETS, name, {**PRESETS[name], **narrow})
        yield


@pytest.fixture(scope="module", autouse=True)
def nano_presets_are_narrow():
    with narrow_presets():
        yield


@pytest.fixture(scope="session")
def tiny():
    """Flags of `keras-tim train` for a run of seconds."""
    return TINY


@pytest.fixture(scope="session")
def photo_folder(tmp_path_factory):
    """Three small photos and a file that is none."""
    photos = pytest.importorskip("keras_tim.data").sample_photos()
    from keras_tim.images import write_picture

    folder = tmp_path_factory.mktemp("photos")
    for name in ("astronaut", "coffee", "chelsea"):
        crop = photos[name][100:180, 100:200] / 255.0
        write_picture(folder / f"{name}.png", crop.astype("float32"))
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory, photo_folder, lpips_weights):
    """A run folder made by `keras-tim train`."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    command = ["train", f"--run={folder}", f"--data={photo_folder}", *TINY]
    # It is made before what any one file's tests need.
    with narrow_presets():
        status = main(command)
    assert status == 0
    return folder
