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


def test_one_frame_is_a_film_and_uint8_is_taken(tmp_path):
    path = tmp_path / "film.webp"
    write_film(path, np.full((1, 16, 16, 3), 200, np.uint8))
    with Image.open(path) as film:
        assert film.size == (16, 16)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": "film.mp4"}, "webp"),
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
