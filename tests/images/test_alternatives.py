import numpy as np
import pytest

import keras_tim
from keras_tim.images import alternatives_sheet, read_picture, write_picture
from keras_tim.inference import sample_files


@pytest.fixture(scope="module")
def tim():
    return keras_tim.TIM.from_preset(
        "super_resolution_x4_nano",
        residual_channels=(8, 8),
        growth_channels=(4, 4),
    )


@pytest.fixture
def pictures(tmp_path):
    """Two files of one name in different folders."""
    paths = []
    for number, folder in enumerate(("a", "b")):
        path = tmp_path / folder / "photo.png"
        path.parent.mkdir()
        values = np.random.RandomState(number).rand(12, 20, 3)
        write_picture(path, values.astype("float32"))
        paths.append(str(path))
    return paths


def test_files_of_one_name_do_not_overwrite_each_other(tim, pictures, tmp_path):
    out = tmp_path / "out"
    written = sample_files(tim, pictures, str(out), seeds=[3])
    names = [path.rsplit("/", 1)[1] for path in written]
    assert names == ["photo_3_0000.png", "photo-2_3_0000.png"]
    first, second = map(read_picture, written)
    assert first.shape == (48, 80, 3)
    assert not np.array_equal(first, second)


def test_samples_are_those_of_the_model(tim, pictures, tmp_path):
    (path,) = sample_files(tim, pictures[:1], str(tmp_path / "out"), seeds=[5])
    given = read_picture(pictures[0])[None]
    expected = tim.sample(given, num_samples=1, seed=5)[0, 0]
    np.testing.assert_allclose(read_picture(path), expected, atol=0.5 / 255)


def test_unusable_files_are_skipped_or_refused(tim, pictures, tmp_path):
    out = str(tmp_path / "out")
    missing = str(tmp_path / "missing.png")
    assert len(sample_files(tim, [missing, pictures[0]], out, [0])) == 1
    with pytest.raises(ValueError, match="None of the 1 pictures"):
        sample_files(tim, [missing], out, [0])
    with pytest.raises(ValueError, match="None of the 1 pictures"):
        sample_files(tim, pictures[:1], out, [0], reduce=100)


def test_sheet_holds_every_alternative():
    samples = np.zeros((5, 32, 48, 3), "float32")
    colours = np.eye(3)[[0, 1, 2, 0, 1]] * [[1], [1], [1], [0.6], [0.6]]
    samples += colours[:, None, None].astype("float32")
    given = np.full((8, 12, 3), 0.5, "float32")
    sheet = alternatives_sheet("colours", given, samples, target=samples[0])
    assert sheet.min() >= 0
    assert sheet.max() <= 1
    for colour in colours:
        assert np.any(np.all(np.abs(sheet - colour) < 0.01, axis=-1))


def shapes(height, width, count=3):
    """Alternatives that differ in two places of a large picture."""
    random = np.random.default_rng(0)
    grey = np.full((height, width, 3), 0.5, "float32")
    made = []
    for _ in range(count):
        sample = grey.copy()
        sample[: height // 9, : width // 9] += 0.1 * random.random()
        part = sample[-height // 9 :, -width // 9 :]
        part[:] = random.random(part.shape)
        made.append(sample)
    return made


@pytest.mark.parametrize(
    ("size", "count"),
    [
        ((1920, 2560), 2),
        ((240, 4000), 8),
        ((4000, 240), 8),
        ((490, 300), 40),
        ((481, 300), 1),
        ((64, 64), 40),
    ],
)
def test_sheets_are_of_a_size_that_can_be_shown(size, count):
    height, width = size
    sample = np.full((height, width, 3), 0.5, "float32")
    sample[0, 0] = 0.0
    sheet = alternatives_sheet(
        "a photo " + "n" * 200,
        sample[::4, ::4],
        [sample] * count,
        target=sample,
        baseline=("bicubic", sample),
    )
    assert sheet.shape[1] <= 2100
    # Rows of up to 4 alternatives, and close-ups.
    assert sheet.shape[0] <= 2600 + 1050 * min(8, -(-count // 4))
    assert sheet.shape[0] * sheet.shape[1] < 13e6


@pytest.mark.parametrize("size", [(720, 960), (960, 720), (240, 4000)])
def test_large_alternatives_have_close_ups_at_full_size(size):
    samples = shapes(*size)
    sheet = alternatives_sheet(
        "shapes", samples[0][::4, ::4], samples, baseline=("plain", samples[0])
    )
    pixels = np.rint(sheet * 255).astype(int)
    for sample in samples:
        # A row of the place that differs most appears pixel by pixel.
        row = np.rint(sample[-3, -20:] * 255).astype(int)
        starts = np.all(pixels[:, : -len(row)] == row[0], axis=-1)
        assert any(
            np.array_equal(pixels[y, x : x + len(row)], row)
            for y, x in np.argwhere(starts)
        )


def test_one_alternative_at_a_time_is_looked_at():
    class Files:
        """Counts what is asked for."""

        asked = 0

        def __len__(self):
            return 40

        def __getitem__(self, number):
            if not 0 <= number < 40:
                raise IndexError
            self.asked += 1
            return np.full((500, 500, 3), number / 40, "float32")

    files = Files()
    sheet = alternatives_sheet("many", np.zeros((125, 125, 3)), files)
    # Once each for the map, once each of those that are shown.
    assert files.asked == 40 + 32
    # The first and the last are among them.
    for value in (0.0, 39 / 40):
        shown = np.all(np.abs(sheet - value) < 0.003, axis=-1)
        assert shown.sum() > 480 * 480
