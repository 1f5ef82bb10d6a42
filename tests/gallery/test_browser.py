import os
import shutil
import subprocess

import pytest
from PIL import Image

from keras_tim.images.records import read_record

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# The command line, in one process of the page's own interpreter.
COMMANDS = """
import sys
from keras_tim.cli.main import main

photo, folder, mixed = sys.argv[1:]
model = ["sample", "--model=super_resolution_x4_lite", f"--output={folder}"]
assert main([*model, "--alternatives=1", photo]) == 0
assert main([*model, f"--again={mixed}", photo]) == 0
"""
# What a visitor could not reach by scrolling down.
BEYOND = """() => [...document.querySelectorAll("button, img, canvas, label")]
  .filter((part) => part.checkVisibility() && part.offsetParent)
  .filter((part) => {
    const {left, right} = part.getBoundingClientRect();
    return left < -1 || right > innerWidth + 1;
  }).map((part) => part.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="needs pip install playwright"
    )
    found = (shutil.which(name) for name in ("chromium", "google-chrome"))
    path = next(filter(None, found), None)
    if path is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    data = pytest.importorskip("skimage.data", reason="needs scikit-image")
    path = tmp_path_factory.mktemp("photo") / "cat.png"
    cat = Image.fromarray(data.chelsea()).crop((90, 30, 330, 210))
    cat.resize((48, 36), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture(scope="module")
def address(serve, tmp_path_factory):
    arguments = ("--model=super_resolution_x4_lite", "--count=2")
    with serve(tmp_path_factory.mktemp("page"), *arguments) as (_, port):
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture
def page(browser, width):
    page = browser.new_page(
        viewport={"width": width, "height": 844}, has_touch=width < 800
    )
    page.set_default_timeout(180_000)
    yield page
    page.close()


def made_so_far(page, count):
    """Waits for so many alternatives; nothing may stick out sideways."""
    status = page.locator("#keras-tim-status")
    status.get_by_text(f"{count} alternatives of 192 x 144 pixels").wait_for()
    check_width(page)


def check_width(page):
    assert page.evaluate(BEYOND) == []
    assert page.evaluate(
        "document.documentElement.scrollWidth - innerWidth <= 0"
    )


def chosen(page, name, other=None):
    """Waits until an alternative is the chosen one, and shown as that."""
    page.wait_for_function(
        """([name, other]) => {
          const value = (label) =>
            document.querySelector(`input[aria-label="${label}"]`)?.value;
          const ring = document.querySelector(
            "#keras-tim-alternatives .thumbnail-item.selected");
          return value("The chosen one") === name &&
            (!other || value("The other one") === other) &&
            ring?.textContent.includes(name);
        }""",
        arg=[name, other],
    )


def download(page, folder, act):
    with page.expect_download() as expected:
        act()
    path = folder / expected.value.suggested_filename
    expected.value.save_as(path)
    return path


def tab(page, name):
    page.get_by_role("tab", name=name, exact=True).click()
    check_width(page)


@pytest.mark.parametrize(
    "width", [1280, pytest.param(390, marks=pytest.mark.slow)]
)
def test_a_visit(page, width, address, photo, python, tmp_path):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    page.locator("input[type=file]").first.set_input_files(photo)
    page.get_by_role("button", name="Remove").or_(
        page.get_by_label("Clear")
    ).first.wait_for()
    page.get_by_role("button", name="Make alternatives").click()
    made_so_far(page, 2)
    chosen(page, "alternative 0", "alternative 1")
    # They differ, though the first was chosen when it was alone.
    page.locator("#keras-tim-close img").wait_for()
    page.locator("#keras-tim-stop").wait_for(state="hidden")

    # Keys.
    page.keyboard.press("ArrowRight")
    chosen(page, "alternative 1", "alternative 0")
    page.keyboard.press("ArrowLeft")
    chosen(page, "alternative 0", "alternative 1")
    page.keyboard.press("Space")
    chosen(page, "alternative 1", "alternative 0")
    page.keyboard.press("f")
    page.locator("#keras-tim-favourites img").wait_for()
    saved = [download(page, tmp_path, lambda: page.keyboard.press("Enter"))]
    assert saved[0].name == "cat_0_0001.png"

    tab(page, "Compare")
    sides = page.get_by_role("tabpanel").locator("img:visible")
    assert len({side.get_attribute("src") for side in sides.all()}) == 2
    tab(page, "Vary")
    page.get_by_role("button", name="Make more like it").click()
    made_so_far(page, 4)
    page.locator("#keras-tim-alternatives .thumbnail-item").nth(2).click()
    chosen(page, "variation 1")
    tab(page, "Between")
    page.get_by_role("button", name="Make it", exact=True).click()
    made_so_far(page, 5)
    chosen(page, "between 1", "alternative 0")
    tab(page, "Mix")
    canvas = page.locator("#keras-tim-painted canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 30, y + 10, steps=5)
    page.mouse.up()
    page.get_by_role("button", name="Mix them").click()
    made_so_far(page, 6)
    chosen(page, "mix 1")
    button = page.locator("#keras-tim-save")
    saved.append(download(page, tmp_path, button.click))
    assert saved[1].name == "cat_mix1.png"
    assert set(read_record(saved[1])["codes"]) == {"combine", "mask"}

    # A phone, or a window made narrow.
    page.set_viewport_size({"width": 390, "height": 844})
    for name in ("Compare", "Vary", "Between", "Mix"):
        tab(page, name)

    assert all(url.startswith((address, "data:", "blob:")) for url in asked), (
        asked
    )
    assert not errors
    page.close()
    # What was saved is what the command line makes, to the last bit.
    again = tmp_path / "again"
    subprocess.run(
        [python, "-c", COMMANDS, *map(str, [photo, again, saved[1]])],
        env={**os.environ, "PYTHONPATH": ROOT},
        check=True,
    )
    for path in saved:
        assert (again / path.name).read_bytes() == path.read_bytes()
