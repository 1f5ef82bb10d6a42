import sys

import numpy as np
import pytest
from PIL import Image

from keras_tim.images import write_film


@pytest.fixture
def frames():
    """Eight frames of 24 x 40 pixels; a bar moves over them."""
    frames = np.full((8, 24, 40, 3), 0.25, "float32")
    for number, frame in enumerate(frames):
        frame[:, 5 * number : 5 * number + 5] = (1.0, 0.5, 0.0)
    return frames


def read(path):
    with Image.open(path) as film:
        pictures, durations = [], []
        for number in range(film.n_frames):
            film.seek(number)
            # WebP knows how long a frame is shown once it is decoded.
            film.load()
            durations.append(film.info["duration"])
            pictures.append(np.asarray(film.convert("RGB")) / 255.0)
        return np.stack(pictures), durations, film.info["loop"]


@pytest.mark.parametrize("suffix", [".webp", ".gif"])
def test_a_film_holds_its_frames(suffix, frames, tmp_path):
    path = tmp_path / f"film{suffix}"
    write_film(path, frames, milliseconds=80, hold=500)
    found, durations, loop = read(path)
    assert found.shape == frames.shape
    assert durations == [80] * 7 + [500]
    assert loop == 0
    # Lossy or of few colours, but the bar is where it was.
    assert np.abs(found - frames).mean() < 0.02
    assert [path.name] == [p.name for p in tmp_path.iterdir()]


def read_mp4(path):
    av = pytest.importorskip("av", reason="needs pip install '.[film]'")
    with av.open(str(path)) as film:
        (stream,) = film.streams
        frames = [f.to_ndarray(format="rgb24") for f in film.decode(stream)]
        return np.stack(frames) / 255.0, stream, film.metadata


@pytest.mark.parametrize("size", [(24, 40), (23, 39)])
def test_an_mp4_holds_its_frames(size, frames, tmp_path):
    pytest.importorskip("av", reason="needs pip install '.[film]'")
    path = tmp_path / "film.mp4"
    frames = frames[:, : size[0], : size[1]]
    write_film(path, frames, 80, 240, record={"made": "film"})
    found, stream, metadata = read_mp4(path)
    # The last one is held as long as three.
    assert found.shape == (10, 24, 40, 3)
    assert stream.average_rate == 12.5
    assert stream.codec_context.pix_fmt == "yuv420p"
    assert metadata["comment"] == 'keras_tim {"made": "film"}'
    found = found[:, : size[0], : size[1]]
    for number in (0, 3, 7):
        assert np.abs(found[number] - frames[number]).mean() < 0.03
        others = np.delete(frames, number, axis=0)
        nearest = np.abs(others - found[number]).mean((1, 2, 3)).min()
        assert nearest > 0.05
    np.testing.assert_allclose(found[-1], found[7], atol=0.02)


def test_without_pyav_it_says_what_is_missing(frames, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match=r"keras-tim\[film\]"):
        write_film(tmp_path / "film.mp4", frames)
    assert not list(tmp_path.iterdir())


def test_one_frame_is_a_film_and_uint8_is_taken(tmp_path):
    path = tmp_path / "film.webp"
    write_film(path, np.full((1, 16, 16, 3), 200, np.uint8))
    with Image.open(path) as film:
        assert film.size == (16, 16)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": "film.avi"}, "webp"),
        ({"milliseconds": 0}, "`milliseconds`"),
        ({"hold": 1.5}, "`hold`"),
        ({"frames": []}, "`frames`"),
        ({"frames": [np.zeros((4, 4, 3)), np.zeros((4, 5, 3))]}, "one size"),
        ({"frames": [np.full((4, 4, 3), 255.0)]}, r"`frames\[0\]`"),
    ],
)
def test_refuses(arguments, message, frames, tmp_path):
    arguments = {"path": "film.webp", "frames": frames, **arguments}
    path = tmp_path / arguments.pop("path")
    with pytest.raises(ValueError, match=message):
        write_film(path, **arguments)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_leaves_nothing(frames, tmp_path):
    with pytest.raises(FileNotFoundError, match="folder does not exist"):
        write_film(tmp_path / "gone" / "film.gif", frames)
    (tmp_path / "film.gif").mkdir()
    with pytest.raises(OSError, match=r"Cannot write `.*film\.gif`"):
        write_film(tmp_path / "film.gif", frames)
    assert [p.name for p in tmp_path.iterdir()] == ["film.gif"]
