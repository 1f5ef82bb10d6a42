import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from absl import logging

from keras_tim.files import read_json, write_json
from keras_tim.runs.checkpoints import (
    Progress,
    has_checkpoint,
    load_checkpoint,
    save_checkpoint,
)

SOME = Progress(7, 2, 61.25, {"loss": [0.1, 3.0]})


@pytest.fixture(scope="module")
def tim(make_tim):
    tim = make_tim(quick=True)
    tim.compile("adam", distance="mean_squared_error", num_samples=1)
    return tim


def at_step(tim, step):
    """The model as it is after so many steps, for its files to tell apart."""
    tim.optimizer.iterations.assign(step)
    return tim


def load(folder):
    tim, progress = load_checkpoint(
        str(folder), steps_per_selection=3, rounds_per_epoch=2
    )
    return int(tim.optimizer.iterations), progress


@pytest.fixture
def warnings_seen(monkeypatch):
    seen = []
    monkeypatch.setattr(
        logging, "warning", lambda text, *rest: seen.append(text % rest)
    )
    return seen


def test_a_checkpoint_comes_back(tim, tmp_path):
    assert not has_checkpoint(str(tmp_path))
    save_checkpoint(str(tmp_path), at_step(tim, 21), SOME)
    told = read_json(tmp_path / "state.json")
    assert told == {"epochs": 2, "steps": 21, "seconds": 61.25}
    # Nothing depends on it.
    (tmp_path / "state.json").write_text("{")
    assert has_checkpoint(str(tmp_path))
    assert load(tmp_path) == (21, SOME)
    # It is a model like any other.
    again = keras.models.load_model(tmp_path / "latest.keras")
    for a, b in zip(again.get_weights(), tim.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_two_are_kept(tim, tmp_path):
    for step in (3, 6, 9):
        save_checkpoint(str(tmp_path), at_step(tim, step), Progress(step // 3))
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "latest.keras",
        "previous.keras",
        "state.json",
    ]
    assert load(tmp_path) == (9, Progress(3))
    # Killed between the two renames.
    (tmp_path / "latest.keras").unlink()
    assert has_checkpoint(str(tmp_path))
    assert load(tmp_path) == (6, Progress(2))


def flipped(content, place):
    content = bytearray(content)
    content[place] ^= 0x10
    return bytes(content)


DAMAGES = {
    "empty": lambda whole: b"",
    "cut in half": lambda whole: whole[: len(whole) // 2],
    "cut at its end": lambda whole: whole[:-3],
    "a bit of the weights": lambda whole: flipped(whole, len(whole) // 2),
    "a bit of the progress": lambda whole: flipped(
        whole, whole.rindex(b'"rounds": ') + 10
    ),
    "zeros": lambda whole: bytes(len(whole)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_one_before_stands_in_for_a_damaged_one(
    tim, tmp_path, warnings_seen, damage
):
    for step in (3, 6):
        save_checkpoint(str(tmp_path), at_step(tim, step), Progress(step // 3))
    latest = tmp_path / "latest.keras"
    latest.write_bytes(DAMAGES[damage](latest.read_bytes()))
    assert load(tmp_path) == (3, Progress(1))
    (warning,) = warnings_seen
    assert str(latest) in warning
    assert "damaged" in warning
    latest.with_name("previous.keras").write_bytes(b"as well")
    with pytest.raises(ValueError, match=r"latest\.keras.*previous.*overwrite"):
        load(tmp_path)


def test_random_damage_never_goes_unseen(tim, tmp_path, warnings_seen):
    save_checkpoint(str(tmp_path), at_step(tim, 6), SOME)
    latest = tmp_path / "latest.keras"
    whole = latest.read_bytes()
    random = np.random.default_rng(0)
    seen = 0
    for _ in range(25):
        place = int(random.integers(len(whole)))
        latest.write_bytes(flipped(whole, place))
        try:
            # What lies beside the content, such as a date, does not matter.
            assert load(tmp_path) == (6, SOME)
        except ValueError:
            seen += 1
    assert seen > 10


def test_checkpoints_of_earlier_versions(tim, tmp_path):
    at_step(tim, 16).save(tmp_path / "latest.keras")
    # Killed before the file that told of it.
    assert load(tmp_path) == (16, Progress(6, 3, 0.0))
    told = {"epochs": 3, "steps": 16, "seconds": 12.5}
    write_json(tmp_path / "state.json", told)
    assert load(tmp_path) == (16, Progress(6, 3, 12.5))


def test_a_failed_save_keeps_what_was_there(tim, tmp_path, monkeypatch):
    save_checkpoint(str(tmp_path), at_step(tim, 3), SOME)

    def save_partly(path):
        with open(path, "wb") as file:
            file.write(b"half a model")
        raise OSError(28, "No space left on device", path)

    monkeypatch.setattr(tim, "save", save_partly)
    with pytest.raises(OSError, match=r"latest\.keras.*No space left"):
        save_checkpoint(str(tmp_path), tim, Progress())
    assert {path.name for path in tmp_path.iterdir()} == {
        "latest.keras",
        "state.json",
    }
    assert load(tmp_path) == (3, SOME)


def test_the_plain_distance_is_found_in_a_fresh_process(tim, tmp_path):
    save_checkpoint(str(tmp_path), at_step(tim, 5), SOME)
    program = (
        "import sys, keras, keras_tim\n"
        "tim = keras.models.load_model(sys.argv[1])\n"
        "assert int(tim.optimizer.iterations) == 5\n"
    )
    path = os.path.join(tmp_path, "latest.keras")
    subprocess.run([sys.executable, "-c", program, path], check=True)
