"""The Gradio page of `keras-tim gallery`: its controls and their events."""

import contextlib
import os
import tempfile

import gradio as gr
import numpy as np
from PIL import Image

from keras_tim.gallery.choices import LEVELS, Choices
from keras_tim.images.originals import read_original
from keras_tim.inference.reading import read_input
from keras_tim.inference.samples import (
    picture_digest,
    what_is_said,
    what_it_is_made_from,
)

# One picture at a time is made, whoever asks. No part has a share button, which
# would send pictures elsewhere.
_QUEUE = {"concurrency_limit": 1, "concurrency_id": "model"}
_MOST_AT_ONCE = 16
# Of how many seconds without a word a session's alternatives are forgotten.
_FORGET = 6 * 3600
_MARK, _UNMARK = "Mark as favourite (f)", "No favourite any more (f)"
# What keys do, but in fields that need them themselves: they press buttons.
KEYS = """<script>
document.addEventListener("keydown", (event) => {
  const inside = (which) => event.target.closest?.(which);
  const fields = "input, textarea, select, canvas, [contenteditable]";
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (inside(fields) || inside("[role=tab], [role=listbox]")) return;
  // Enter presses what is focused; a picture was chosen by that already.
  const pressed = inside("button, a") && !inside("#keras-tim-alternatives");
  if (event.key === "Enter" && pressed) return;
  const names = {ArrowLeft: "previous", ArrowRight: "next", f: "favourite",
                 Enter: "save"};
  const name = names[event.key];
  const button = name && document.getElementById("keras-tim-" + name);
  if (!button) return;
  event.preventDefault();
  button.click();
});
</script>"""


def build_page(tim, folder, samples=(), count=4, preset=None):
    """Builds the page.

    Args:
        tim: a `TIM`.
        folder: where the alternatives' files go.
        samples: paths of pictures to offer.
        count: int, how many alternatives to make at a time, at first.
        preset: str or None, the model's name, for the records.

    Returns:
        A `gradio.Blocks`; its keys work where it is launched with
        `head=KEYS`.
    """
    offered = {os.path.basename(path): path for path in samples}

    def pictures(choices):
        """Alternatives' files and names; favourites have a star."""
        liked = choices.favourites
        return [
            (made.path, f"★ {made.name}" if made in liked else made.name)
            for made in choices.alternatives
        ]

    def shown(choices, chosen=None, kept=None):
        """The alternatives, and what can be named; `kept` stays chosen."""
        names = [made.name for made in choices.alternatives]
        # Another one may have been chosen in the meantime.
        stays = {} if kept in names else {"value": chosen}
        return (
            pictures(choices),
            gr.Dropdown(choices=names, **stays),
            gr.Dropdown(choices=names),
        )

    def liked(choices):
        """The favourites, and all of them in one file."""
        with _sentences():
            archive = choices.write_favourites()
        return (
            [(made.path, made.name) for made in choices.favourites],
            gr.DownloadButton(value=archive, interactive=bool(archive)),
        )

    def make(path, reduce, count, temperature):
        if not path:
            raise gr.Error("Drop a picture first.")
        with _sentences():
            reading = {"reduce": int(reduce)}
            record = {"of": picture_digest(path), **what_is_said(path, preset)}
            record |= what_it_is_made_from(tim, **reading)
            given = read_input(tim, path, **reading)
            original = read_original(path, tim.task_definition.keeps)
            stem = os.path.splitext(os.path.basename(path))[0]
            own = tempfile.mkdtemp(dir=folder)
            choices = Choices(tim, given, stem, own, record, original)
        for _ in range(_number(count)):
            with _sentences():
                choices.draw(temperature)
            yield choices, *shown(choices), *liked(choices)

    def more(choices, count, name, temperature):
        choices = _begun(choices)
        for _ in range(_number(count)):
            with _sentences():
                choices.draw(temperature)
            yield choices, *shown(choices, kept=name)

    def vary(choices, name, amount, levels, count):
        choices = _begun(choices)
        for _ in range(_number(count)):
            with _sentences():
                choices.vary(name, amount, levels)
            yield choices, *shown(choices, kept=name)

    def between(choices, name, other, t):
        choices = _begun(choices)
        with _sentences():
            made = choices.between(name, other, t)
        return choices, *shown(choices, made.name)

    def combine(choices, name, other, painted):
        choices = _begun(choices)
        with _sentences():
            mask = painted_mask(painted, choices.size())
            made = choices.combine(name, other, mask)
        return choices, *shown(choices, made.name)

    def choose(choices, name):
        if not choices or not name:
            return None, None, None, None, _MARK
        with _sentences():
            made = choices.named(name)
            part = choices.close_up(name)
        path = made.path
        canvas = {"background": path, "layers": [], "composite": None}
        label = _UNMARK if made in choices.favourites else _MARK
        return path, canvas, path, part, label

    def mark(choices, name):
        choices = _begun(choices)
        with _sentences():
            label = _UNMARK if choices.mark(name) else _MARK
        return pictures(choices), *liked(choices), label

    def before(choices, name):
        return choices.beside(name, -1) if choices else None

    def after(choices, name):
        return choices.beside(name, 1) if choices else None

    def compare(choices, name, other):
        if not choices or not name or not other:
            return None
        with _sentences():
            return choices.named(name).path, choices.named(other).path

    def clicked(choices, event: gr.SelectData):
        return choices.alternatives[event.index].name

    def clicked_favourite(choices, event: gr.SelectData):
        return choices.favourites[event.index].name

    with gr.Blocks(title="keras_tim", analytics_enabled=False) as page:
        state = gr.State(None, time_to_live=_FORGET)
        gr.Markdown(
            "# One picture, many plausible answers\n"
            "What an alternative shows beyond the picture given is invented. "
            "Nothing leaves this machine."
        )
        with gr.Row():
            with gr.Column(scale=1):
                picture = gr.Image(
                    label="Picture",
                    type="filepath",
                    image_mode=None,
                    sources=["upload", "clipboard"],
                    format="png",
                    buttons=["fullscreen"],
                )
                sample = gr.Dropdown(
                    list(offered),
                    value=None,
                    label="or one of these",
                    visible=bool(offered),
                )
                reduce = gr.Slider(
                    1, 8, 1, step=1, label="Reduce it by this factor first"
                )
                number = gr.Slider(
                    1, _MOST_AT_ONCE, count, step=1, label="How many at a time"
                )
                temperature = gr.Slider(
                    0.0,
                    1.5,
                    1.0,
                    step=0.05,
                    label="Temperature of new ones",
                    info="Below 1 they differ less; 0 is the best guess.",
                )
                start = gr.Button("Make alternatives", variant="primary")
                further = gr.Button("More of them")
                stop = gr.Button("Stop", variant="stop")
            with gr.Column(scale=2):
                alternatives = gr.Gallery(
                    label="Alternatives: click on one to choose it",
                    format="png",
                    columns=4,
                    object_fit="contain",
                    allow_preview=False,
                    buttons=[],
                    interactive=False,
                    elem_id="keras-tim-alternatives",
                )
                with gr.Row():
                    previous = gr.Button(
                        "Previous (←)", elem_id="keras-tim-previous"
                    )
                    following = gr.Button("Next (→)", elem_id="keras-tim-next")
                    favourite = gr.Button(_MARK, elem_id="keras-tim-favourite")
                name = gr.Dropdown([], value=None, label="Chosen")
                other = gr.Dropdown([], value=None, label="The other one")
        with gr.Row():
            with gr.Column():
                chosen = gr.Image(
                    label="Chosen",
                    format="png",
                    interactive=False,
                    buttons=["fullscreen"],
                )
                save = gr.DownloadButton(
                    "Save the chosen one, PNG (Enter)", elem_id="keras-tim-save"
                )
                favourites = gr.Gallery(
                    label="Favourites",
                    format="png",
                    columns=4,
                    object_fit="contain",
                    allow_preview=False,
                    buttons=[],
                    interactive=False,
                )
                save_all = gr.DownloadButton(
                    "Save all favourites (ZIP)", interactive=False
                )
            with gr.Column():
                close_up = gr.Image(
                    label="Where they differ most, at full size",
                    format="png",
                    interactive=False,
                    buttons=["fullscreen"],
                )
                with gr.Tab("More like this"):
                    amount = gr.Slider(
                        0.05, 1.0, 0.4, step=0.05, label="How far from it"
                    )
                    levels = gr.Radio(
                        LEVELS, value="all", label="What may change"
                    )
                    near = gr.Button("Make more like it", variant="primary")
                with gr.Tab("Compare"):
                    slider = gr.ImageSlider(
                        label="Chosen and other",
                        format="png",
                        interactive=False,
                        buttons=["fullscreen"],
                    )
                with gr.Tab("Between two"):
                    t = gr.Slider(
                        0.0,
                        1.0,
                        0.5,
                        step=0.05,
                        label="From the chosen to the other",
                    )
                    half = gr.Button("Make it", variant="primary")
                with gr.Tab("By region"):
                    gr.Markdown("Paint where the other one is right, then mix.")
                    editor = gr.ImageEditor(
                        label="Chosen",
                        format="png",
                        sources=[],
                        transforms=[],
                        layers=False,
                        buttons=["fullscreen"],
                        brush=gr.Brush(
                            colors=["#ff00ff"],
                            color_mode="fixed",
                            default_size=24,
                        ),
                    )
                    mix = gr.Button("Mix", variant="primary")

        made = [state, alternatives, name, other]
        running = [
            start.click(
                make,
                [picture, reduce, number, temperature],
                [*made, favourites, save_all],
                api_name="make",
                **_QUEUE,
            ),
            further.click(
                more,
                [state, number, name, temperature],
                made,
                api_name="more",
                **_QUEUE,
            ),
            near.click(
                vary,
                [state, name, amount, levels, number],
                made,
                api_name="vary",
                **_QUEUE,
            ),
        ]
        half.click(
            between,
            [state, name, other, t],
            made,
            api_name="between",
            **_QUEUE,
        )
        mix.click(
            combine,
            [state, name, other, editor],
            made,
            api_name="combine",
            **_QUEUE,
        )
        stop.click(None, cancels=running, api_visibility="private")
        name.change(
            choose,
            [state, name],
            [chosen, editor, save, close_up, favourite],
            api_name="choose",
        )
        for button, move in ((previous, before), (following, after)):
            button.click(move, [state, name], [name], api_name=move.__name__)
        favourite.click(
            mark,
            [state, name],
            [alternatives, favourites, save_all, favourite],
            api_name="mark",
        )
        for gallery, select in (
            (alternatives, clicked),
            (favourites, clicked_favourite),
        ):
            gallery.select(select, [state], [name], api_visibility="private")
        for part in (name, other):
            part.change(
                compare, [state, name, other], slider, api_visibility="private"
            )
        sample.change(
            offered.get, [sample], [picture], api_visibility="private"
        )
    return page


def painted_mask(painted, size):
    """What was painted, as a mask of the given picture's size.

    Args:
        painted: dict of `gradio.ImageEditor`, whose `layers` are arrays
            `[H, W, 4]`, or None.
        size: `(height, width)`.

    Returns:
        float32 array `[height, width]` in [0, 1].
    """
    height, width = size
    mask = np.zeros(size, "float32")
    for layer in (painted or {}).get("layers") or []:
        opacity = Image.fromarray(np.ascontiguousarray(layer[..., 3]))
        small = opacity.resize((width, height), Image.Resampling.BOX)
        mask = np.maximum(mask, np.asarray(small, "float32") / 255.0)
    return mask


@contextlib.contextmanager
def _sentences():
    """Shows errors of the package as what they say."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise gr.Error(str(error), print_exception=False) from error


def _begun(choices):
    if choices is None:
        raise gr.Error("Make alternatives of a picture first.")
    return choices


def _number(count):
    return min(max(int(count), 1), _MOST_AT_ONCE)
