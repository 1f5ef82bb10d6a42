import os
import subprocess

import numpy as np
import pytest
from PIL import Image

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))

# What a visitor's clicks call, in an interpreter that has Gradio.
CLICKS = """
import os
import sys
import gradio as gr
from PIL import Image
from keras_tim.gallery import choices as choices_module
from keras_tim.gallery.actions import BEGIN, Actions
from keras_tim.images.records import read_record
from keras_tim.inference import sample_again
from keras_tim.runs.training_run import load_run

choices_module.REGION = 64
model, folder = sys.argv[1:]
tim = load_run(model)
tile = tim.tiled_sampler().tiling.least_tile
actions = Actions(tim, folder + "/own", tile=tile)
photo, scan = folder + "/photo.png", folder + "/scan.tif"

# What cannot be used is refused as soon as it is there.
for name, words in (
    ("text.png", "not a picture of a known format"),
    ("empty.jpg", "empty"),
    ("cut.jpg", "truncated"),
):
    for act in (actions.given, lambda path: next(actions.make(path, 1, 1, 1))):
        try:
            act(os.path.join(folder, name))
        except gr.Error as error:
            message, printed = str(error), error.print_exception
        else:
            # A header alone says nothing of what is missing at the end.
            assert (name, act) == ("cut.jpg", actions.given)
            continue
        assert words in message, message
        assert f"`{name}`" in message and folder not in message, message
        assert not printed
# What no browser shows is shown as it is read.
assert not actions.given(photo)[0].visible
shown = actions.given(scan)[0]
assert shown.visible and Image.open(shown.value["path"]).size == (81, 100)

class Click:
    def __init__(self, x, y):
        self.index = (x, y)

def alternatives(answer):
    return [os.path.basename(path) for path, _ in answer[0]]

for choices, *_ in actions.make(photo, 1, 2, 1.0):
    pass
one, other = "alternative 0", "alternative 1"
middle = choices.region
names = [f"photo_0_000{n}_at_32_42.png" for n in range(2)]
before = actions.settled(choices, one, other)
assert alternatives(before) == names
assert "left: 39.506%" in before[6].value and "tim-framed" in before[6].value
# Where all of them differ most, though the first was chosen when it was alone.
assert before[-1].shape == (32, 32, 3)
place = actions.where(choices, photo, Click(0, 99))
seen = list(actions.look(choices, place, one, other))
assert [answer[3] for answer in seen[:-1]] == [
    f"Looking there: {n} of 2 made ..." for n in range(3)
]
assert seen[0][6].value != before[6].value
corner = [f"photo_0_000{n}_at_0_84.png" for n in range(2)]
assert alternatives(seen[1]) == [corner[0], names[1]]
assert alternatives(seen[-1]) == corner
assert [os.path.basename(path) for path in seen[-1][-1]] == corner

# Stop, and a click elsewhere, end a look; all is as it was.
for end in (
    lambda: actions.stop(choices),
    lambda: actions.where(choices, photo, Click(80, 0)),
):
    place = actions.where(choices, photo, Click(80, 50))
    look = actions.look(choices, place, other, one)
    for _ in range(2):
        answer = next(look)
    assert alternatives(answer)[0] == corner[0] != alternatives(answer)[1]
    end()
    (answer,) = look
    assert alternatives(answer) == corner
# The last click counts: an earlier one that comes later does nothing.
(answer,) = actions.look(choices, place, one, other)
assert answer[3] == gr.skip()
# Nothing is there to be looked at in another picture.
assert actions.where(choices, scan, Click(0, 0)) is None
# One that Gradio has dropped without an end.
place = actions.where(choices, photo, Click(80, 50))
look = actions.look(choices, place, one, other)
for _ in range(2):
    next(look)
answer = actions.settled(choices, one, other)
assert alternatives(answer) == corner
look.close()

# More of them ends where Stop is pressed.
more = actions.more(choices, 16, one, 1.0)
next(more)
next(more)
actions.stop(choices)
(answer,) = more
assert len(answer[2].choices) == 3
assert actions.told(choices) == "3 alternatives of 324 x 400 pixels."
assert actions.told(None) == BEGIN
# Repaired it is as large as the picture, though reduced first, and keeps what
# the file says; what is saved is whole, and can be made again.
damaged = os.path.join(folder, "damaged.jpg")
Image.open(photo).convert("RGB").save(damaged, quality=20)
for repaired, *_ in actions.make(damaged, 1, 1, 1.0, True):
    pass
assert actions.told(repaired) == "1 alternative of 81 x 100 pixels."
saved = repaired.make_whole(one)
assert Image.open(saved).size == (81, 100)
record = read_record(saved)
assert record["reading"] == {"reduce": 2, "deblock": 1}
assert record["share"] > 0.0
_, same = sample_again(tim, saved, damaged, os.path.join(folder, "again"))
assert same

def progress(share, desc):
    actions.stop(choices)

try:
    actions.whole(choices, one, progress)
except gr.Error as error:
    assert "Stopped" in str(error)
else:
    raise AssertionError("It was not stopped.")
assert choices.whole(one) is None
left = os.listdir(os.path.dirname(choices.named(one).path))
assert sorted(left) == sorted(corner + ["photo_0_0002_at_0_84.png"])
"""


@pytest.fixture
def folder(tmp_path, make_tim):
    make_tim(quick=True, style_cell=4).save(tmp_path / "tim.keras")
    pixels = np.random.RandomState(1).randint(0, 256, (100, 81, 3), "uint8")
    for name in ("photo.png", "scan.tif", "cut.jpg"):
        Image.fromarray(pixels).save(tmp_path / name)
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(cut.read_bytes()[:1500])
    (tmp_path / "text.png").write_text("no picture\n" * 20)
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "own").mkdir()
    return tmp_path


def test_clicks(python, folder):
    clicks = subprocess.run(
        [python, "-c", CLICKS, str(folder / "tim.keras"), str(folder)],
        env={**os.environ, "PYTHONPATH": ROOT},
        capture_output=True,
        text=True,
        check=False,
    )
    assert clicks.returncode == 0, clicks.stderr[-3000:]
