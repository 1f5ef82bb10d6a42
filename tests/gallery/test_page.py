import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
import zipfile

import numpy as np
import pytest
from PIL import Image

from keras_tim.images import write_picture
from keras_tim.images.records import read_record

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))

# A person's way through the page, by what its buttons call.
VISIT = """
import shutil
import sys
from gradio_client import Client, handle_file

address, photo, painted, empty, large, text, folder = sys.argv[1:]
client = Client(address, verbose=False)

def names(answer):
    return [shown["caption"] for shown in answer[0]]

def choose(name):
    return client.predict(name, None, api_name="/choose")

def keep(name):
    shutil.copy(choose(name)[2]["value"], folder)

first = one, other = ["alternative 0", "alternative 1"]
answer = client.predict(handle_file(photo), 1, 2, 1.0, api_name="/make")
assert names(answer) == first
more = client.submit(2, "alternative 0", 0.5, api_name="/more")
more.result()
two, three = [f"alternative {n}, temperature 0.5" for n in (2, 3)]
assert [names(answer)[2:] for answer in more.outputs()] == [
    [],
    [two],
    [two, three],
]
keep("alternative 1")
keep(three)
answer = client.predict("alternative 0", 0.5, "fine", 2, api_name="/vary")
assert names(answer)[-2:] == ["variation 1", "variation 2"]
answer = client.predict(one, "variation 1", 0.5, api_name="/between")
assert names(answer)[-1] == "between 1"
drawing = {
    "background": handle_file(empty),
    "layers": [handle_file(painted)],
    "composite": handle_file(empty),
    "id": None,
}
answer = client.predict(one, other, drawing, api_name="/combine")
assert names(answer)[-1] == "mix 1"
assert answer[1]["value"] == "mix 1"
keep("mix 1")

# What the arrows do, and f.
assert client.predict(one, api_name="/after") == other
assert client.predict(one, api_name="/before") == "mix 1"
assert client.predict(None, api_name="/after") == one
for name in (three, one, "mix 1"):
    answer = client.predict(name, api_name="/mark")
answer = client.predict(one, api_name="/mark")
assert [shown["caption"] for shown in answer[1]["value"]] == [three, "mix 1"]
assert [name for name in names(answer) if "★" in name] == [
    f"★ {three}",
    "★ mix 1",
]
shutil.copy(answer[2]["value"], folder)
# The close-up.
shutil.copy(choose(one)[3], folder + "/close.png")

def refused(*arguments, api_name):
    try:
        client.predict(*arguments, api_name=api_name)
    except Exception as error:
        return str(error)
    raise AssertionError(f"{api_name} was not refused")

drawing["layers"] = [handle_file(empty)]
message = refused(one, other, drawing, api_name="/combine")
assert "Paint where" in message
assert "Drop a picture" in refused(None, 1, 2, 1.0, api_name="/make")
message = refused(handle_file(text), 1, 2, 1.0, api_name="/make")
assert "Cannot read `text.png`: it is not a picture" in message

# What is made in tiles is made whole before it is saved.
answer = client.predict(handle_file(large), 1, 1, 1.0, api_name="/make")
assert names(answer) == [one]
assert not choose(one)[2]["interactive"]
client.predict(one, api_name="/whole")
assert choose(one)[2]["interactive"]
keep(one)
# Another visitor sees nothing of this.
client = Client(address, verbose=False)
assert "of a picture first" in refused(1, None, 1.0, api_name="/more")
assert "of a picture first" in refused(None, api_name="/mark")
"""

# The command line, in one process.
AGAIN = """
import sys
from keras_tim.cli.main import main

model, folder, saved, photo, large = sys.argv[1:]
for name, picture in (("photo_mix1", photo), ("large_0_0000", large)):
    again = f"--again={saved}/{name}.png"
    arguments = ["sample", f"--model={model}", f"--output={folder}", again]
    assert main([*arguments, picture]) == 0
"""


@pytest.fixture
def page(serve, make_tim, tmp_path):
    """The page's process, its port, and what it keeps files in."""
    tim = make_tim(quick=True)
    tim.save(tmp_path / "tim.keras")
    tile = tim.tiled_sampler().tiling.least_tile
    kept = tmp_path / "kept"
    kept.mkdir()
    arguments = f"--model={tmp_path / 'tim.keras'}", f"--tile={tile}"
    with serve(kept, *arguments) as (process, port):
        yield process, port, kept


def test_a_visit(page, python, make_tim, tmp_path):
    process, port, kept = page
    photo = np.random.RandomState(0).rand(10, 16, 3).astype("float32")
    write_picture(tmp_path / "photo.png", photo)
    photo = np.asarray(Image.open(tmp_path / "photo.png"), "float32") / 255
    layer = np.zeros((40, 64, 4), "uint8")
    Image.fromarray(layer).save(tmp_path / "empty.png")
    layer[:] = 255
    Image.fromarray(layer).save(tmp_path / "painted.png")
    large = np.random.RandomState(1).randint(0, 256, (100, 81, 3), "uint8")
    Image.fromarray(large).save(tmp_path / "large.png")
    (tmp_path / "text.png").write_text("no picture")
    saved = tmp_path / "saved"
    saved.mkdir()
    address = f"http://127.0.0.1:{port}/"
    names = ["photo", "painted", "empty", "large", "text"]
    names = [*(f"{name}.png" for name in names), "saved"]
    visit = subprocess.run(
        [python, "-c", VISIT, address, *(str(tmp_path / n) for n in names)],
        capture_output=True,
        text=True,
        check=False,
    )
    log = (kept / "log").read_text()
    assert visit.returncode == 0, visit.stderr + log
    # What was saved is what the command line makes, to the last bit.
    sample = make_tim(quick=True).sample(photo[None], 2, seed=0)[0, 1]
    for name in ("photo_0_0001.png", "photo_mix1.png"):
        with Image.open(saved / name) as picture:
            np.testing.assert_array_equal(picture, np.rint(255 * sample))
    # Painted all over, the mixture is the other one.
    assert read_record(saved / "photo_mix1.png")["codes"]["combine"] == [
        {"seed": 0, "index": 0},
        {"seed": 0, "index": 1},
    ]

    with zipfile.ZipFile(saved / "photo_favourites.zip") as favourites:
        assert favourites.namelist() == ["photo_0_0003.png", "photo_mix1.png"]
        for name in favourites.namelist():
            assert favourites.read(name) == (saved / name).read_bytes()
    # Half of what is smaller than a close-up could be.
    with Image.open(saved / "close.png") as picture:
        assert picture.size == (32, 20)
    assert read_record(saved / "photo_0_0003.png")["temperature"] == 0.5
    subprocess.run(
        [
            *(python, "-c", AGAIN, str(tmp_path / "tim.keras")),
            *(str(tmp_path / name) for name in ("again", "saved")),
            *(str(tmp_path / name) for name in ("photo.png", "large.png")),
        ],
        env={**os.environ, "PYTHONPATH": ROOT},
        check=True,
    )
    for name in ("photo_mix1.png", "large_0_0000.png"):
        again = tmp_path / "again" / name
        assert again.read_bytes() == (saved / name).read_bytes()

    # Nothing is fetched from elsewhere, and nobody else is answered.
    with urllib.request.urlopen(address) as answer:
        html = answer.read().decode()
    assert not re.findall(r'(?:src|href)="https?://(?!127)', html)
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.2", port), timeout=5)

    # Nothing stays behind.
    assert len(list(kept.iterdir())) > 1
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0
    assert [left.name for left in kept.iterdir()] == ["log"]


def test_without_gradio_it_says_what_is_missing(monkeypatch, capsys):
    from keras_tim.cli.main import main

    monkeypatch.setitem(sys.modules, "gradio", None)
    for name in ("GRADIO_ANALYTICS_ENABLED", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")
    assert main(["gallery", "--nobrowser"]) == 1
    assert "keras-tim[gallery]" in capsys.readouterr().err
