import numpy as np
import pytest
from PIL import Image

from keras_tim.images import PictureError, find_pictures, write_picture
from keras_tim.inference import film_file, walk
from keras_tim.inference.walks import LARGEST_FILM

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def tim(make_tim):
    """What it shares between samples is made once."""
    return make_tim(plain_blocks=(1, 0), num_blocks=2, style_cell=4)


@pytest.fixture(scope="module")
def given():
    return np.random.RandomState(0).rand(10, 14, 3).astype("float32")


@pytest.fixture
def photo(tmp_path, given):
    path = tmp_path / "photo.png"
    write_picture(path, given)
    return path


def filmed(tim, photo, film, **arguments):
    arguments = {"alternatives": [0, 1], "seconds": 0.8, "rate": 5, **arguments}
    return film_file(tim, photo, film, **arguments)


def test_a_walk_comes_by_its_alternatives(tim, given):
    frames = list(walk(tim, given, 7, [3, 1, 2], steps=4))
    assert len(frames) == 12
    samples = tim.sample(given[None], num_samples=4, seed=7)[0]
    for number, index in enumerate((3, 1, 2)):
        np.testing.assert_array_equal(frames[4 * number], samples[index])


def test_a_walk_has_no_jumps_also_where_it_repeats(tim, given):
    frames = list(walk(tim, given, 0, [0, 1], steps=8))
    steps = [
        np.abs(frame - frames[number - 1]).mean()
        for number, frame in enumerate(frames)
    ]
    apart = np.abs(frames[0] - frames[8]).mean()
    assert max(steps) < apart / 2
    assert min(steps) > 0
    # The way back is the same one.
    np.testing.assert_allclose(frames[3], frames[13], atol=TOLERANCE)


def test_a_walk_of_any_size(make_tim):
    # Three levels, whose inputs are halved twice.
    tim = make_tim(
        "colourization",
        quick=True,
        residual_channels=(6, 6, 6),
        growth_channels=(3, 3, 3),
    )
    grey = np.random.RandomState(0).rand(7, 10, 1).astype("float32")
    frames = list(walk(tim, grey, 0, [0, 1], steps=1))
    assert [frame.shape for frame in frames] == [(7, 10, 3)] * 2


@pytest.mark.parametrize(
    ("suffix", "milliseconds"), [(".webp", 200), (".gif", 200)]
)
def test_a_film_of_a_picture(tim, photo, tmp_path, suffix, milliseconds):
    film = tmp_path / "films" / f"walk{suffix}"
    assert filmed(tim, photo, film) == 4
    with Image.open(film) as opened:
        assert opened.size == (56, 40)
        assert opened.n_frames == 4
        opened.seek(3)
        opened.load()
        assert opened.info["duration"] == milliseconds
        assert opened.info["loop"] == 0
    assert [path.name for path in film.parent.iterdir()] == [film.name]
    # It is no photo to learn from.
    assert [path.name for path in find_pictures(tmp_path)] == ["photo.png"]


def test_the_same_call_gives_the_same_bytes(tim, photo, tmp_path):
    films = [tmp_path / name for name in ("a.webp", "b.webp")]
    for film in films:
        filmed(tim, photo, film)
    assert films[0].read_bytes() == films[1].read_bytes()


def test_large_pictures_are_reduced(tim, photo, tmp_path):
    filmed(tim, photo, tmp_path / "a.gif", side=28)
    with Image.open(tmp_path / "a.gif") as opened:
        assert opened.size == (28, 20)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"film": "film.avi"}, "`film` must end in"),
        ({"alternatives": [1]}, "at least two"),
        ({"alternatives": [0, -1]}, "`alternatives`"),
        ({"seed": 0.5}, "`seed`"),
        ({"rate": 0}, "`rate`"),
        ({"rate": 60}, "`rate`"),
        ({"seconds": float("nan")}, "`seconds`"),
        ({"side": 0}, "`side`"),
        ({"seconds": LARGEST_FILM}, "shorter"),
    ],
)
def test_refuses(tim, photo, tmp_path, arguments, message):
    film = tmp_path / arguments.pop("film", "film.webp")
    with pytest.raises(ValueError, match=message):
        filmed(tim, photo, film, **arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


def test_nothing_is_written_over(tim, photo, tmp_path):
    film = tmp_path / "film.gif"
    film.write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="--overwrite"):
        filmed(tim, photo, film)
    assert film.read_bytes() == b"mine"
    filmed(tim, photo, film, overwrite=True)
    assert film.read_bytes()[:4] == b"GIF8"
    # The picture itself never is, by whatever name.
    own = tmp_path / "own.gif"
    own.symlink_to(film)
    with pytest.raises(FileExistsError, match="of which it is made"):
        filmed(tim, own, film, overwrite=True)


def test_what_is_no_picture_makes_no_film(tim, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(PictureError):
        filmed(tim, tmp_path / "text.png", tmp_path / "film.gif")
    with pytest.raises(PictureError):
        filmed(tim, tmp_path / "missing.png", tmp_path / "film.gif")
    assert [path.name for path in tmp_path.iterdir()] == ["text.png"]
