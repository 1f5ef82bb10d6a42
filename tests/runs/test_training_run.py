import json
import pathlib
import random
import runpy
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from PIL import Image

from keras_tim import TIM
from keras_tim.cli.main import main
from keras_tim.models.presets import PRESETS, TRAINING
from keras_tim.runs import RunSettings, load_run, train
from keras_tim.runs.lock import locked

PROGRAM = pathlib.Path(__file__).with_name("tiny.py")
TINY, FLAGS = (runpy.run_path(PROGRAM)[name] for name in ("TINY", "FLAGS"))
# Of these no two runs differ in a byte.
FILES = ("history.csv", "report.json", "contact_sheet.png")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for name in "abc":
        coarse = generator.integers(0, 256, (10, 12, 3), dtype=np.uint8)
        photo = Image.fromarray(coarse).resize((96, 80), Image.BICUBIC)
        photo.save(folder / f"{name}.png")
    return folder


def add_preset(monkeypatch, task="super_resolution"):
    tiny = {**TINY, "task": task}
    if task == "layout_synthesis":
        del tiny["input_skip"]
    nano = next(x for x in PRESETS if x.startswith(task) and "nano" in x)
    monkeypatch.setitem(PRESETS, "tiny", tiny)
    monkeypatch.setitem(TRAINING, "tiny", TRAINING[nano])


@pytest.fixture(scope="module")
def command(photos):
    """Callable `(folder, *flags)` that runs `keras-tim train`."""

    def run(folder, *flags):
        with pytest.MonkeyPatch.context() as monkeypatch:
            add_preset(monkeypatch)
            flags = (f"--run={folder}", f"--data={photos}", *FLAGS, *flags)
            return main(["train", *flags])

    return run


class Started:
    """`keras-tim train` in a process of its own."""

    def __init__(self, folder, photos, *flags):
        self.log = folder.with_suffix(f".{time.monotonic_ns()}.log")
        flags = (f"--run={folder}", f"--data={photos}", *FLAGS, *flags)
        with open(self.log, "wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, PROGRAM, "train", *flags],
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def wait_for(self, text):
        """Waits until it says something, or ends; gives whether it did."""
        while self.process.poll() is None:
            if text in self.output():
                return True
            time.sleep(0.05)
        return text in self.output()

    def output(self):
        return self.log.read_text(errors="replace")

    def ended(self, signum=None):
        """Its exit status, after a signal if there is one."""
        if signum is not None:
            self.process.send_signal(signum)
        return self.process.wait(1800)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, command, lpips_weights):
    """A run that nothing disturbed, and the seconds that it took."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    begin = time.monotonic()
    assert command(folder) == 0
    return folder, time.monotonic() - begin


def assert_same_end(folder, expected):
    a, b = (
        keras.models.load_model(path / "model.keras")
        for path in (folder, expected)
    )
    for x, y in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)
    for x, y in zip(a.optimizer.variables, b.optimizer.variables, strict=True):
        np.testing.assert_array_equal(x.numpy(), y.numpy())
    pictures = [path.name for path in (expected / "pictures").iterdir()]
    assert len(pictures) == 10
    for name in (*FILES, *(f"pictures/{name}" for name in pictures)):
        assert (folder / name).read_bytes() == (expected / name).read_bytes()
    left = {path.name for path in folder.rglob("*")}
    assert left >= {"latest.keras", "previous.keras"}
    assert not [name for name in left if name.startswith(".")]


def kill(folder, photos, whole, kills, seed):
    """Kills trainings at random moments, and looks at how they end."""
    expected, seconds = whole
    moments = random.Random(seed)
    number, killed, ends = 0, 0, 0
    while killed < kills or not ends:
        run = folder / f"run{number}"
        flags = [f"--checkpoint_every={moments.choice([0, 0, 5])}"]
        started = Started(run, photos, *flags)
        if killed < kills:
            # Some moments lie before the training, or after it.
            if moments.random() < 0.9:
                started.wait_for("The first step")
            begin = time.monotonic()
            time.sleep(moments.uniform(0.0, seconds))
            if started.process.poll() is None:
                assert started.ended(signal.SIGKILL) == -signal.SIGKILL
                killed += 1
                continue
            seconds = min(seconds, time.monotonic() - begin)
        assert started.ended() == 0, started.output()
        assert_same_end(run, expected)
        number, ends = number + 1, ends + 1


# The next test kills one at a moment that is known.
@pytest.mark.slow
def test_runs_killed_again_and_again(tmp_path, photos, whole):
    kill(tmp_path, photos, whole, kills=8, seed=0)


def test_signals_save_what_is_done_and_kills_what_was(
    tmp_path, photos, whole, command, capsys
):
    folder = tmp_path / "run"
    for signum, status, epoch in (
        (signal.SIGTERM, 143, "Epoch 2/"),
        (signal.SIGINT, 130, "Epoch 4/"),
    ):
        started = Started(folder, photos, "--checkpoint_every=60")
        assert started.wait_for(epoch)
        assert started.ended(signum) == status
        saved = keras.models.load_model(folder / "checkpoints/latest.keras")
        steps = int(saved.optimizer.iterations)
        assert f"{signum.name}. {steps} gradient steps are saved. Run the " in (
            started.output()
        )
        assert steps > 4
        assert not (folder / "model.keras").exists()
    started = Started(folder, photos, "--checkpoint_every=0")
    assert started.wait_for("Epoch 7/")
    assert started.ended(signal.SIGKILL) == -signal.SIGKILL
    assert not (folder / "model.keras").exists()
    saved = keras.models.load_model(folder / "checkpoints/latest.keras")
    assert int(saved.optimizer.iterations) > steps
    steps = int(saved.optimizer.iterations)
    # What the others began ends in this one, which saves a start.
    assert command(folder) == 0
    resumed = f"Resuming {folder} after {steps} gradient steps"
    assert resumed in capsys.readouterr().err
    assert_same_end(folder, whole[0])


def test_an_unfinished_report_is_finished(tmp_path, whole, command, capsys):
    folder = tmp_path / "run"
    shutil.copytree(whole[0], folder)
    before = (folder / "model.keras").read_bytes()
    # Killed after the model had been written.
    for name in ("report.json", "contact_sheet.png", "training_samples.png"):
        (folder / name).unlink()
    assert command(folder, "--steps=41") == 1
    assert "other settings (steps)" in capsys.readouterr().err
    assert command(folder) == 0
    assert_same_end(folder, whole[0])
    assert before == (folder / "model.keras").read_bytes()
    assert command(folder) == 1
    assert "finished run" in capsys.readouterr().err


class BegunError(Exception):
    """Training began; more need not be known."""


@pytest.fixture
def begun(monkeypatch):
    """Training ends where it begins; a list of `fit`'s arguments."""
    seen = []

    def fit(tim, dataset, **arguments):
        seen.append((tim, arguments))
        raise BegunError

    monkeypatch.setattr(TIM, "fit", fit)
    return seen


@pytest.mark.parametrize(
    "flag",
    ["--data=nowhere", "--held_out=nobody", "--crop_size=128", "--exists=no"],
)
def test_what_is_refused_leaves_nothing_behind(flag, tmp_path, command, begun):
    folder = tmp_path / "run"
    assert command(folder, flag) in (1, 2)
    assert not folder.exists()
    with pytest.raises(BegunError):
        command(folder)
    assert (folder / "config.json").exists()


def test_other_settings_may_follow_where_nothing_was_trained(
    tmp_path, command, begun
):
    folder = tmp_path / "run"
    for flags in ([], ["--steps=9"], ["--crop_size=48"]):
        with pytest.raises(BegunError):
            command(folder, *flags)
    stored = json.loads((folder / "config.json").read_text())["settings"]
    assert (stored["steps"], stored["crop_size"]) == (40, 48)


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_overwrite_takes_nothing_away_before_it_begins(
    tmp_path, whole, command, begun
):
    folder = tmp_path / "run"
    shutil.copytree(whole[0], folder)
    (folder / "notes.txt").write_text("of the user's own")
    before = contents(folder)
    assert command(folder, "--overwrite", "--held_out=nobody") == 1
    assert contents(folder) == before
    with pytest.raises(BegunError):
        command(folder, "--overwrite", "--steps=9")
    names = {path.name for path in folder.rglob("*") if path.is_file()}
    assert {n for n in names if "tfevents" not in n} == {
        "config.json",
        "notes.txt",
    }
    # Killed before its first checkpoint, it is no part of the earlier run.
    with pytest.raises(BegunError):
        command(folder, "--steps=9")
    assert int(begun[-1][0].optimizer.iterations) == 0


@pytest.mark.parametrize("name", ["model.keras", "history.csv", "report.json"])
def test_files_of_no_known_run_are_kept(name, tmp_path, command, capsys):
    (tmp_path / name).write_text("of the user's own")
    assert command(tmp_path) == 1
    error = capsys.readouterr().err
    assert str(tmp_path / name) in error
    assert "--overwrite" in error
    assert (tmp_path / name).read_text() == "of the user's own"


def test_two_processes_do_not_train_in_one_folder(tmp_path, command, capsys):
    pytest.importorskip("fcntl")
    with locked(tmp_path):
        assert command(tmp_path) == 1
    assert "Another process" in capsys.readouterr().err


def test_runs_of_earlier_versions_are_resumed(
    tmp_path, whole, command, begun, capsys
):
    shutil.copy(whole[0] / "config.json", tmp_path)
    tim = keras.models.load_model(whole[0] / "checkpoints" / "latest.keras")
    tim.optimizer.iterations.assign(12)
    (tmp_path / "checkpoints").mkdir()
    tim.save(tmp_path / "checkpoints" / "latest.keras")
    (tmp_path / "checkpoints" / "state.json").write_text(
        '{"epochs": 3, "steps": 12, "seconds": 4.5}'
    )
    with pytest.raises(BegunError):
        command(tmp_path)
    assert "after 12 gradient steps" in capsys.readouterr().err
    ((resumed, arguments),) = begun
    assert arguments["initial_epoch"] == 3
    assert arguments["steps_per_epoch"] == 4
    for a, b in zip(resumed.get_weights(), tim.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_diverged_run_says_so(tmp_path, command, capsys):
    flags = ("--learning_rate=1e30", "--without=weight_norm")
    assert command(tmp_path, *flags) == 1
    error = capsys.readouterr().err
    assert "diverged" in error
    assert "gradient step 2." in error
    kept = load_run(tmp_path / "checkpoints" / "last_finite.keras")
    assert all(np.isfinite(weight).all() for weight in kept.get_weights())
    assert not (tmp_path / "model.keras").exists()


class DiedError(Exception):
    """As if the process had been killed."""


class DiesAt(keras.callbacks.Callback):
    """Ends a training at the end of a round, before its checkpoint."""

    def __init__(self, rounds):
        super().__init__()
        self._left = rounds

    def on_train_batch_end(self, batch, logs=None):
        self._left -= 1
        if not self._left:
            raise DiedError


OTHERS = {
    "mixed_float16": {"dtype": "mixed_float16"},
    # Learns from data of its own, in groups.
    "layout_synthesis": {
        "dtype": "mixed_bfloat16",
        "task": "layout_synthesis",
        "num_samples": 2,
        "images_per_selection": 3,
        "steps_per_selection": 2,
        "steps": 14,
    },
    "decompression": {
        "task": "decompression",
        "dtype": "mixed_bfloat16",
        "quality": 5,
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_other_runs_end_as_if_they_had_not_been_stopped(
    name, tmp_path, photos, monkeypatch, lpips_weights
):
    task = OTHERS[name].get("task", "super_resolution")
    layouts = task == "layout_synthesis"
    add_preset(monkeypatch, task)
    settings = {
        "preset": "tiny",
        "data": None if layouts else str(photos),
        "steps": 14,
        "steps_per_selection": 1,
        "images_per_selection": 2,
        "mini_batch_size": 1,
        "num_samples": 2,
        "crop_size": 32,
        "distance": "mean_squared_error",
        **OTHERS[name],
        "task": task,
    }
    settings = RunSettings.of_task(**settings)
    expected = train(tmp_path / "whole", settings, verbose=0)
    for rounds in (4, 2, None):
        callbacks = [] if rounds is None else [DiesAt(rounds)]
        try:
            found = train(
                tmp_path / "parts",
                settings,
                verbose=0,
                callbacks=callbacks,
                checkpoint_every=0.0,
            )
        except DiedError:
            assert rounds is not None
    for a, b in zip(found.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    first, second = (
        (tmp_path / folder / "history.csv").read_bytes()
        for folder in ("whole", "parts")
    )
    assert first == second


def test_a_run_starts_from_another_model(command, tmp_path, capsys):
    tim = TIM(**TINY)
    earlier = tmp_path / "earlier.keras"
    tim.save(earlier)
    again = tmp_path / "again"
    flags = ("--learning_rate=1e-9", "--steps=1")
    assert command(again, f"--start={earlier}", *flags) == 0
    for x, y in zip(
        tim.get_weights(), load_run(again).get_weights(), strict=True
    ):
        np.testing.assert_allclose(x, y, atol=1e-6)
    # What is wrong is said before anything is written.
    refused = tmp_path / "refused"
    for flag, message in (
        ("--without=codes", "`start` must be None where parts"),
        ("--trunk=x.pth", "`trunk` must be None where `start`"),
    ):
        assert command(refused, f"--from={earlier}", flag) == 1
        assert message in capsys.readouterr().err
    assert command(refused, f"--start={tmp_path / 'nowhere'}") == 1
    assert "There is no model at" in capsys.readouterr().err
    assert not list(refused.glob("*.json"))
    assert command(again, f"--start={earlier}", *flags) == 1
    assert f"--start={again}" in capsys.readouterr().err
