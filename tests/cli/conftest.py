import pytest

from keras_tim.cli.main import main

TINY = [
    "--steps=4",
    "--steps_per_selection=2",
    "--images_per_selection=2",
    "--mini_batch_size=1",
    "--num_samples=2",
    "--candidate_chunk=4",
    "--crop_size=32",
    "--epsilon=1e-8",
]


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
    status = main(["train", f"--run={folder}", f"--data={photo_folder}", *TINY])
    assert status == 0
    return folder
