import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from PIL import Image

from keras_tim.assets.downloads import WEIGHTS
from keras_tim.cli import demo, weights
from keras_tim.cli.main import COMMANDS, main
from keras_tim.cli.sample import parse_numbers, parse_size, parse_tile
from keras_tim.images import read_picture, write_picture
from keras_tim.images.records import read_record
from keras_tim.models.pretrained import DEFAULT_PRESETS
from keras_tim.runs import load_run


def test_help_lists_every_command(capsys):
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in COMMANDS)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_of_a_command_lists_its_flags(command, capsys):
    assert main([command, "--help"]) == 0
    printed = capsys.readouterr().out
    expected = {
        "demo": "--minutes",
        "train": "--images_per_selection",
        "sample": "--seeds",
        "film": "--seconds",
        "gallery": "--port",
        "evaluate": "--bandwidths",
        "export": "--precision",
        "rarity": "--labels",
        "weights": "--fetch",
    }[command]
    assert expected in printed


@pytest.mark.parametrize(
    ("argv", "status", "message"),
    [
        ([], 2, ""),
        (["paint"], 2, "no command 'paint'"),
        (["train", "--colour=red"], 2, "colour"),
        (["train"], 2, "--run"),
        (["train", "--run=x", "--preset=huge"], 2, "preset"),
        (["train", "--run=x", "--task=origami"], 2, "task"),
        (["train", "--run=x", "--steps=0"], 2, "steps"),
        (["train", "--run=x", "photos"], 1, "photos"),
        (["train", "--run=x", "--num_candidates=4,many"], 1, "4,many"),
        (["train", "--run=x", "--residual_channels=wide"], 1, "wide"),
        (["train", "--run=x", "--dtype=float8"], 2, "dtype"),
        (["sample", "--model=missing", "x.png"], 1, "missing"),
        (["sample", "--model=missing"], 1, "picture files"),
        (["sample", "--task=paired_images", "x.png"], 1, "No trained preset"),
        (["demo", "--steps=3"], 1, "--steps needs --train"),
        (["weights", "--fetch=resnet"], 1, "resnet"),
    ],
)
def test_wrong_command_lines_are_explained(argv, status, message, capsys):
    assert main(argv) == status
    assert message in capsys.readouterr().err


def test_weights_lists_the_cache(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_TIM_CACHE", str(tmp_path))
    assert main(["weights"]) == 0
    printed = capsys.readouterr().out
    assert "lpips_alex" in printed
    assert "lpips_vgg" in printed
    assert printed.count("missing") == len(WEIGHTS)


def test_large_photos_go_without_pillows_warning(tmp_path, monkeypatch):
    path = tmp_path / "large.png"
    Image.new("RGB", (40, 30)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    sizes = []

    def run(values, arguments):
        sizes.append(read_picture(arguments[0]).shape)

    monkeypatch.setattr(weights, "run", run)
    assert main(["weights", str(path)]) == 0
    assert sizes == [(30, 40, 3)]
    # Elsewhere warnings are errors here, this one as well.
    with pytest.raises(ValueError, match="more than 1000 pixels"):
        read_picture(path)


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("0-3", [0, 1, 2, 3]), ("3,14,15", [3, 14, 15]), ("7, 1-2", [7, 1, 2])],
)
def test_parse_numbers(text, seeds):
    assert parse_numbers(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "3-1", "-4", "1-", "0-99999"])
def test_parse_numbers_refuses(text):
    with pytest.raises(ValueError, match="--seeds must"):
        parse_numbers(text, "seeds")


@pytest.mark.parametrize(
    ("text", "tile"), [("auto", "auto"), ("none", None), ("512", 512)]
)
def test_parse_tile(text, tile):
    assert parse_tile(text) == tile


@pytest.mark.parametrize("text", ["", "0", "-512", "5e2", "large"])
def test_parse_tile_refuses(text):
    with pytest.raises(ValueError, match="--tile"):
        parse_tile(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [(None, None), ("800", 800), ("800x600", (600, 800)), ("same", "same")],
)
def test_parse_size(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "0", "-8", "8.5", "8x", "x8", "8x0", "8x8x8", "9" * 10, "nan"]
)
def test_parse_size_refuses(text):
    with pytest.raises(ValueError, match="--size must be like"):
        parse_size(text)


def test_train_fills_the_run_folder(finished_run):
    names = {
        "config.json",
        "history.csv",
        "report.json",
        "model.keras",
        "contact_sheet.png",
        "training_samples.png",
        "checkpoints/latest.keras",
        "checkpoints/previous.keras",
        "checkpoints/state.json",
    }
    for name in names:
        assert (finished_run / name).stat().st_size > 0, name
    assert list((finished_run / "pictures").glob("step_*.png"))
    assert list((finished_run / "logs").glob("*tfevents*"))
    assert not list(finished_run.rglob("*partial*"))
    with open(finished_run / "history.csv") as file:
        history = list(csv.DictReader(file))
    assert len(history) == 2
    assert all(float(row["loss"]) > 0 for row in history)
    row, crops = json.loads((finished_run / "report.json").read_text())
    # astronaut is the first of the folder, so it is the one held out.
    assert row["name"] == "astronaut.png"
    found = row["samples"]
    assert 0 < found["lpips_alex_best"] <= found["lpips_alex_mean"]
    assert found["pairs_alex_all"] > 0
    assert crops["samples"].keys() == found.keys()
    assert crops["name"] == "astronaut.png, 1 crops of 64 px"


def test_training_is_as_the_flags_say(finished_run):
    model = keras.models.load_model(finished_run / "model.keras")
    assert model.optimizer.epsilon == 1e-8
    assert model.optimizer.beta_2 == 0.99


def test_train_refuses_a_finished_run(finished_run, photo_folder, capsys, tiny):
    before = (finished_run / "model.keras").read_bytes()
    command = ["train", f"--run={finished_run}", f"--data={photo_folder}"]
    assert main([*command, *tiny]) == 1
    assert "finished run" in capsys.readouterr().err
    assert before == (finished_run / "model.keras").read_bytes()


def test_train_refuses_a_run_with_other_settings(
    finished_run, photo_folder, tmp_path, capsys, tiny
):
    unfinished = tmp_path / "run"
    shutil.copytree(finished_run, unfinished)
    (unfinished / "model.keras").unlink()
    command = ["train", f"--run={unfinished}", f"--data={photo_folder}"]
    assert main([*command, *tiny, "--steps=6"]) == 1
    assert "other settings (steps)" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_training_in_half_precision_leaves_a_float32_model(
    dtype, photo_folder, lpips_weights, tmp_path, tiny, capsys
):
    folder = tmp_path / "run"
    command = ["train", f"--run={folder}", f"--data={photo_folder}", *tiny]
    command += ["--residual_channels=8,6", "--growth_channels=4,4"]
    command += [f"--dtype={dtype}"]
    assert main(command) == 0
    assert dtype in capsys.readouterr().err
    tim = load_run(folder)
    assert tim.dtype_policy.name == "float32"
    assert tim.residual_channels == (8, 6)
    assert tim.growth_channels == (4, 4)
    # A killed run goes on as it was.
    (folder / "model.keras").unlink()
    resumed = keras.models.load_model(folder / "checkpoints" / "latest.keras")
    assert resumed.dtype_policy.name == dtype
    for a, b in zip(resumed.get_weights(), tim.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert main([*command[:-1], "--dtype=float32"]) == 1
    assert "other settings (dtype)" in capsys.readouterr().err


def test_train_names_a_missing_folder(tmp_path, capsys, tiny):
    missing = tmp_path / "nowhere"
    command = ["train", f"--run={tmp_path / 'run'}", f"--data={missing}"]
    assert main([*command, *tiny]) == 1
    assert str(missing) in capsys.readouterr().err


def test_train_names_an_empty_folder(tmp_path, capsys, tiny):
    empty = tmp_path / "empty"
    empty.mkdir()
    command = ["train", f"--run={tmp_path / 'run'}", f"--data={empty}"]
    assert main([*command, *tiny]) == 1
    assert str(empty) in capsys.readouterr().err


def _sample(run, picture, output, *flags):
    return main(
        ["sample", f"--model={run}", f"--output={output}", *flags, str(picture)]
    )


def test_sample_writes_alternatives_of_several_seeds(
    finished_run, photo_folder, tmp_path
):
    picture = photo_folder / "coffee.png"
    assert _sample(finished_run, picture, tmp_path, "--seeds=0-2") == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [
        "coffee_0_0000.png",
        "coffee_1_0000.png",
        "coffee_2_0000.png",
        "coffee_differences.png",
        "coffee_sheet.png",
    ]
    first = read_picture(tmp_path / "coffee_0_0000.png")
    assert first.shape == (320, 400, 3)
    assert not np.array_equal(
        first, read_picture(tmp_path / "coffee_1_0000.png")
    )
    again = tmp_path / "again"
    assert _sample(finished_run, picture, again, "--seeds=2,1") == 0
    for name in ("coffee_1_0000.png", "coffee_2_0000.png"):
        assert (again / name).read_bytes() == (tmp_path / name).read_bytes()


def test_sample_makes_what_the_sheet_calls_it(
    finished_run, photo_folder, tmp_path, capsys
):
    picture = photo_folder / "coffee.png"
    flags = ("--reduce=4", "--json")
    assert _sample(finished_run, picture, tmp_path / "all", *flags) == 0
    out, err = capsys.readouterr()
    (line,) = out.splitlines()
    told = json.loads(line)
    assert told["picture"] == str(picture)
    assert [x["index"] for x in told["alternatives"]] == list(range(8))
    assert "8 of 8 alternatives" in err
    flags = ("--reduce=4", "--alternatives=3")
    assert _sample(finished_run, picture, tmp_path / "one", *flags) == 0
    made = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert made == ["coffee_0_0003.png", "coffee_sheet.png"]
    one = tmp_path / "one" / "coffee_0_0003.png"
    in_all = tmp_path / "all" / "coffee_0_0003.png"
    assert one.read_bytes() == in_all.read_bytes()
    # By the old flag, alternative 0 of every seed.
    flags = ("--reduce=4", "--seeds=0", "--format=webp")
    assert _sample(finished_run, picture, tmp_path / "old", *flags) == 0
    assert (tmp_path / "old" / "coffee_0_0000.webp").exists()
    for flags, said in (
        (("--seeds=1", "--seed=1"), "not both"),
        (("--alternatives=x",), "--alternatives must be like"),
        (("--size=8x",), "--size must be like"),
        (("--scale=nan",), "--scale must be a number above 0"),
        (("--scale=0",), "--scale must be a number above 0"),
        (("--scale=2", "--size=8"), "--scale or --size"),
    ):
        assert _sample(finished_run, picture, tmp_path, *flags) == 1
        assert said in capsys.readouterr().err


def test_sample_makes_a_file_again(
    finished_run, photo_folder, tmp_path, capsys
):
    picture = photo_folder / "coffee.png"
    flags = ("--reduce=4", "--seed=7", "--alternatives=2", "--scale=1.5")
    assert _sample(finished_run, picture, tmp_path / "one", *flags) == 0
    made = tmp_path / "one" / "coffee_7_0002.png"
    with Image.open(made) as image:
        assert image.size == (38, 30)
    flags = (f"--again={made}", "--json")
    capsys.readouterr()
    assert _sample(finished_run, picture, tmp_path / "two", *flags) == 0
    again = tmp_path / "two" / "coffee_7_0002.png"
    assert json.loads(capsys.readouterr().out) == {
        "path": str(again),
        "of": str(made),
        "same": True,
    }
    assert again.read_bytes() == made.read_bytes()
    command = ["sample", f"--again={made}", f"--output={tmp_path / 'two'}"]
    for more, said in (
        ([str(picture)], "give it as --model"),
        ([f"--model={finished_run}"], "which is not in"),
        ([f"--model={finished_run}", "--seed=3"], "Leave out --seed"),
        ([f"--model={finished_run}", "--size=9"], "Leave out --size"),
        ([f"--model={finished_run}", "a.png", "b.png"], "takes one picture"),
    ):
        assert main([*command, *more]) == 1
        assert said in capsys.readouterr().err


def test_sample_takes_folders_and_skips_what_is_no_picture(
    finished_run, photo_folder, tmp_path, capsys
):
    flags = ("--seeds=5", "--reduce=4")
    assert _sample(finished_run, photo_folder, tmp_path, *flags) == 3
    said = capsys.readouterr().err
    assert said.splitlines()[-1] == str(photo_folder / "broken.jpg")
    assert "could not be used (1)" in said
    made = sorted(path.name for path in tmp_path.glob("*_0000.png"))
    assert made == [
        "astronaut_5_0000.png",
        "chelsea_5_0000.png",
        "coffee_5_0000.png",
    ]
    assert read_picture(tmp_path / made[0]).shape == (80, 100, 3)


@pytest.mark.parametrize("kind", ["missing", "truncated", "text", "large"])
def test_sample_names_what_it_cannot_use(kind, finished_run, tmp_path, capsys):
    path = tmp_path / "picture.png"
    if kind == "truncated":
        write_picture(path, np.random.RandomState(0).rand(40, 40, 3))
        path.write_bytes(path.read_bytes()[:900])
    elif kind == "text":
        path.write_text("not a picture")
    elif kind == "large":
        # Four times larger it would have 2,007 million pixels.
        Image.new("1", (11200, 11200)).save(path)
    assert _sample(finished_run, path, tmp_path / "out") == 1
    printed = capsys.readouterr().err
    assert str(path) in printed
    assert "None of the 1 pictures" in printed


def test_sample_keeps_what_is_there(
    finished_run, photo_folder, tmp_path, capsys
):
    picture = photo_folder / "coffee.png"
    flags = ("--seeds=5", "--reduce=4")
    assert _sample(finished_run, picture, tmp_path, *flags) == 0
    path = tmp_path / "coffee_5_0000.png"
    before = path.stat().st_mtime_ns
    assert _sample(finished_run, picture, tmp_path, *flags) == 0
    assert path.stat().st_mtime_ns == before
    assert _sample(finished_run, picture, tmp_path, "--seeds=5") == 1
    assert "--overwrite" in capsys.readouterr().err
    assert path.stat().st_mtime_ns == before
    flags = ("--seeds=5", "--overwrite")
    assert _sample(finished_run, picture, tmp_path, *flags) == 0
    assert read_picture(path).shape == (320, 400, 3)


def test_home_is_meant_after_an_equals_sign_too(
    finished_run, photo_folder, tmp_path, monkeypatch
):
    home = tmp_path / "home"
    shutil.copytree(photo_folder, home / "photos")
    shutil.copy(finished_run / "model.keras", home / "m.keras")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    command = ["sample", "--model=~/m.keras", "--seeds=0", "--reduce=4"]
    assert main([*command, "--output=~/out", "~/photos/coffee.png"]) == 0
    assert (home / "out" / "coffee_0_0000.png").exists()
    command = ["evaluate", "--model", "~/m.keras", "--data=~/photos"]
    command += ["--count=1", "--crop=32", "--output=~/measured"]
    assert main([*command, "--num_samples=1"]) == 3
    assert (home / "measured" / "evaluation.md").exists()
    assert sorted(os.listdir(tmp_path)) == ["home"]


def test_jpegs_are_repaired(make_tim, tmp_path, capsys):
    model, picture = tmp_path / "m.keras", tmp_path / "photo.jpg"
    make_tim(quick=True).save(model)
    pixels = np.random.default_rng(0).integers(99, 180, (40, 33, 3), np.uint8)
    Image.fromarray(pixels).save(picture, quality=10)
    flags = ["--task=decompression", f"--model={model}", "--alternatives=0"]
    output = tmp_path / "out"
    command = ["sample", *flags, f"--output={output}", str(picture)]
    assert main(command) == 0
    made = output / "photo_0_0000.png"
    assert read_record(made)["share"] > 0.0
    assert read_picture(made).shape == (40, 33, 3)
    command = ["sample", f"--model={model}", f"--again={made}"]
    assert main([*command, f"--output={tmp_path / 'two'}"]) == 0
    # Of a film nothing is kept near what the file says.
    command = ["film", *flags[:2], f"--output={tmp_path / 'f.webp'}"]
    assert main([*command, str(picture)]) == 1
    assert "not decompression" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["sample", "evaluate"])
def test_help_documents_the_exit_status(command, capsys):
    assert main([command, "--help"]) == 0
    assert "3 if some could not be" in capsys.readouterr().out


def test_a_run_keeps_to_what_it_holds_out(
    finished_run, photo_folder, tmp_path, capsys
):
    """Whatever becomes of the folder of photos."""
    photos, run = tmp_path / "photos", tmp_path / "run"
    shutil.copytree(photo_folder, photos)
    shutil.copytree(finished_run, run)
    config = json.loads((run / "config.json").read_text())
    assert config["held_out"] == ["astronaut.png"]
    assert config["settings"]["data"] == str(photo_folder)
    config["settings"]["data"] = str(photos)
    (run / "config.json").write_text(json.dumps(config))
    # A picture that comes before, and one that was trained on goes.
    shutil.copy(photos / "coffee.png", photos / "a_new_one.png")
    (photos / "chelsea.png").unlink()
    flags = ["evaluate", f"--model={run}", "--num_samples=1"]
    assert main(flags) == 0
    result = json.loads((run / "evaluation" / "evaluation.json").read_text())
    assert [p["name"] for p in result["pictures"]] == ["astronaut.png"]
    (photos / "astronaut.png").unlink()
    assert main([*flags, f"--output={tmp_path / 'other'}"]) == 1
    said = capsys.readouterr().err
    assert f"holds out astronaut.png, which is no longer in {photos}" in said


@pytest.mark.slow
def test_killed_sampling_goes_on(finished_run, photo_folder, tmp_path, capsys):
    output = tmp_path / "out"
    command = ["sample", f"--model={finished_run}", f"--output={output}"]
    command += ["--seeds=0-5", str(photo_folder)]
    process = subprocess.Popen(
        [sys.executable, "-m", "keras_tim.cli.main", *command]
    )
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        assert process.poll() is None, "ended before it was killed"
        if len(list(output.glob("*_0000.png"))) >= 4:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = {p: os.stat(p).st_mtime_ns for p in output.glob("*_0000.png")}
    assert 4 <= len(finished) < 18
    assert main(command) == 3
    for path, moment in finished.items():
        assert os.stat(path).st_mtime_ns == moment
    assert not [name for name in os.listdir(output) if name.startswith(".")]
    # As if it had never been stopped.
    whole = tmp_path / "whole"
    command[2] = f"--output={whole}"
    assert main(command) == 3
    assert len(list(whole.iterdir())) == 24
    for path in whole.iterdir():
        assert (output / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("kind", ["truncated", "text", "other"])
def test_sample_names_a_damaged_model(kind, finished_run, tmp_path, capsys):
    path = tmp_path / "model.keras"
    if kind == "truncated":
        whole = (finished_run / "model.keras").read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "text":
        path.write_text("not a model")
    else:
        import keras

        keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(path)
    assert _sample(path, tmp_path / "x.png", tmp_path) == 1
    assert str(path) in capsys.readouterr().err


def test_console_script_is_installed():
    script = os.path.join(os.path.dirname(sys.executable), "keras-tim")
    printed = subprocess.run(
        [script, "--version"], capture_output=True, text=True, check=True
    ).stdout
    assert printed.startswith("keras-tim 0.")


@pytest.mark.parametrize(
    "preset",
    [
        "super_resolution_x4_lite",
        pytest.param("super_resolution_x4_realsr", marks=pytest.mark.slow),
    ],
)
def test_demo_shows_what_a_preset_makes(preset, tmp_path, monkeypatch, request):
    if preset == DEFAULT_PRESETS["super_resolution"]:
        request.getfixturevalue("realsr_weights")
    else:
        monkeypatch.setattr(demo, "ALTERNATIVES", range(2))
    monkeypatch.setitem(DEFAULT_PRESETS, "super_resolution", preset)
    output = tmp_path / "demo"
    assert main(["demo", f"--output={output}"]) == 0
    sheet = read_picture(output / "contact_sheet.png")
    assert sheet.shape[2] == 3
    made = [read_picture(output / f"chelsea_0_000{k}.png") for k in (0, 1)]
    given = read_picture(output / "chelsea.png")
    assert made[0].shape == (4 * given.shape[0], 4 * given.shape[1], 3)
    assert 0.002 < np.abs(made[0] - made[1]).mean() < 0.1
    before = (output / "chelsea_0_0000.png").stat().st_mtime_ns
    assert main(["demo", f"--output={output}"]) == 0
    assert (output / "chelsea_0_0000.png").stat().st_mtime_ns == before


@pytest.mark.slow
def test_demo_ends_with_a_sheet(tmp_path, lpips_weights, capsys):
    output = tmp_path / "demo"
    assert main(["demo", "--train", f"--output={output}", "--steps=8"]) == 0
    assert read_picture(output / "contact_sheet.png").ndim == 3
    assert "chelsea" in (output / "report.json").read_text()
