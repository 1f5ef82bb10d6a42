import pytest
from PIL import Image

from keras_tim.cli.main import main
from keras_tim.images.records import read_record


@pytest.fixture
def model(make_tim, tmp_path):
    make_tim(quick=True).save(tmp_path / "tim.keras")
    return tmp_path / "tim.keras"


def test_film(model, photo_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    photo = photo_folder / "coffee.png"
    command = ["film", f"--model={model}", "--alternatives=5,3,8", "--reduce=4"]
    command += ["--seconds=1", "--rate=6", "--side=64", str(photo)]
    assert main(command) == 0
    with Image.open("coffee_film.webp") as film:
        assert film.n_frames == 6
        assert film.size == (64, 51)
    record = read_record("coffee_film.webp")
    assert record["made"] == "film"
    assert record["alternatives"] == [5, 3, 8]
    assert main(command) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert main([*command, "--overwrite"]) == 0


def test_mp4(model, photo_folder, tmp_path, monkeypatch):
    av = pytest.importorskip("av", reason="needs pip install '.[film]'")
    monkeypatch.chdir(tmp_path)
    command = ["film", f"--model={model}", "--alternatives=0,1", "--reduce=4"]
    command += ["--seconds=1", "--rate=4", "--side=64", "--format=mp4"]
    assert main([*command, str(photo_folder / "coffee.png")]) == 0
    with av.open("coffee_film.mp4") as film:
        # An odd side has got one more.
        assert [(f.width, f.height) for f in film.decode(video=0)] == [
            (64, 52)
        ] * 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "one picture file"),
        (["a.png", "b.png"], "a.png b.png"),
        (["--alternatives=4", "a.png"], "at least two"),
        (["--output=film.txt", "a.png"], "film.txt"),
        (["--output=a.gif", "--format=mp4", "a.png"], "of one format"),
        (["--task=colourization", "a.png"], "not colourization"),
        (["missing.png"], "missing.png"),
    ],
)
def test_wrong_command_lines_are_explained(
    model, tmp_path, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(tmp_path)
    assert main(["film", f"--model={model}", *arguments]) == 1
    assert message in capsys.readouterr().err
