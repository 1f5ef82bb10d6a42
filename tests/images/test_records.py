import json

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from keras_tim.images import find_pictures, write_film, write_picture
from keras_tim.images.records import holds_run, read_record

RECORD = {"made": "alternative", "seed": 3, "reading": {"reduce": 1}}


def noise(seed=0):
    return np.random.default_rng(seed).random((16, 24, 3))


def found(folder):
    return [str(p.relative_to(folder)) for p in find_pictures(folder)]


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.JPEG"])
def test_records_come_back_from_pictures(tmp_path, name):
    write_picture(tmp_path / name, noise(), RECORD)
    assert read_record(tmp_path / name) == RECORD
    write_picture(tmp_path / name, noise())
    assert read_record(tmp_path / name) is None


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff", "avif"])
def test_records_of_huge_pictures(tmp_path, monkeypatch, suffix):
    path = tmp_path / f"a.{suffix}"
    write_picture(path, noise(), RECORD)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert read_record(path) == RECORD
    assert Image.MAX_IMAGE_PIXELS == 10


@pytest.mark.parametrize("name", ["a.webp", "a.gif"])
def test_records_come_back_from_films(tmp_path, name):
    write_film(tmp_path / name, [noise(0), noise(1)], record=RECORD)
    assert read_record(tmp_path / name) == RECORD
    write_film(tmp_path / name, [noise(0), noise(1)])
    assert read_record(tmp_path / name) is None


def png(text):
    info = PngInfo()
    info.add_text("keras_tim", text)
    return {"pnginfo": info}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.png", {}),
        ("a.png", png("made with it")),
        ("a.png", png("3")),
        ("a.png", png("[" * 100_000)),
        ("a.jpg", {"comment": json.dumps(RECORD)}),
        ("a.jpg", {"comment": "keras_tim is nice"}),
        ("a.jpg", {"comment": b"keras_tim \xff"}),
        ("a.bmp", {}),
    ],
)
def test_photos_hold_no_record(saved, name, options):
    path = saved(Image.new("RGB", (8, 8)), name, **options)
    assert read_record(path) is None
    assert found(path.parent) == [name]


def test_what_is_no_picture_holds_no_record(tmp_path):
    for name, content in (("a.png", b""), ("b.png", b"text"), ("c.txt", b"")):
        (tmp_path / name).write_bytes(content)
        assert read_record(tmp_path / name) is None
    assert read_record(tmp_path / "missing.png") is None
    assert read_record(tmp_path) is None


def test_folders_are_not_searched_for_own_results(tmp_path, caplog):
    write_picture(tmp_path / "photo.png", noise())
    (tmp_path / "chosen").mkdir()
    write_picture(tmp_path / "chosen" / "best.png", noise(), RECORD)
    write_picture(tmp_path / "any_name.jpg", noise(), {"made": "sheet"})
    assert found(tmp_path) == ["photo.png"]
    assert "Passed over 2 pictures" in caplog.text
    (tmp_path / "photo.png").unlink()
    with pytest.raises(FileNotFoundError, match="but those that this package"):
        find_pictures(tmp_path)


def test_alternatives_of_before_there_were_records(tmp_path):
    for name in (
        "x_seed0000.png",
        "x_seed0001.png",
        "x_sheet.png",
        "x_differences.png",
        # Photos by such a name, of which one is missing.
        "y_seed0000.png",
        "y_sheet.png",
        "x.png",
        "contact_sheet.png",
    ):
        write_picture(tmp_path / name, noise())
    assert found(tmp_path) == [
        "contact_sheet.png",
        "x.png",
        "y_seed0000.png",
        "y_sheet.png",
    ]


@pytest.mark.parametrize(
    "beside", ["checkpoints/latest.keras", "model.keras", "contact_sheet.png"]
)
def test_runs_within_the_photos(tmp_path, beside, caplog):
    for name in ("a.png", "run/pictures/step_000012.png", "run/b.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write_picture(tmp_path / name, noise())
    # Any program may call a file so.
    (tmp_path / "run" / "config.json").write_text("{}")
    assert len(found(tmp_path)) == 3
    (tmp_path / "run" / beside).parent.mkdir(exist_ok=True)
    (tmp_path / "run" / beside).touch()
    assert holds_run(tmp_path / "run")
    caplog.clear()
    assert found(tmp_path) == ["a.png"]
    assert f"{tmp_path / 'run'}: a training run" in caplog.text
