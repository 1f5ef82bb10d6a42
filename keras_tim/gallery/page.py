"""The Gradio page of `keras-tim gallery`: its controls and their events."""

import contextlib
import functools
import os
import tempfile

import gradio as gr
import numpy as np
from PIL import Image

from keras_tim.gallery.choices import Choices
from keras_tim.images.originals import read_original
from keras_tim.images.pictures import picture_size
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
_MARK, _UNMARK = "☆ Favourite", "★ Favourite: take the star away"
_LEVELS = {
    "all": "everything",
    "fine": "fine detail alone",
    "coarse": "all but fine detail",
}
# Gradio finds it among the arguments' defaults.
_PROGRESS = gr.Progress()
# How it looks, and what keys do but in fields that need them themselves: they
# press buttons.
HEAD = """<style>
#keras-tim-alternatives .grid-wrap, #keras-tim-favourites .grid-wrap {
  height: auto !important; min-height: 0; max-height: 70vh;
}
#keras-tim-alternatives .grid-container, #keras-tim-favourites .grid-container {
  grid-template-columns: repeat(auto-fill, minmax(140px, 1fr));
}
#keras-tim-alternatives .caption-label, #keras-tim-favourites .caption-label {
  max-width: 100%;
}
.keras-tim-row {flex-wrap: nowrap; gap: 8px;}
.keras-tim-row button {min-width: 0; padding-left: 4px; padding-right: 4px;}
</style>
<script>
// What was clicked takes no keys; what Tab has reached does.
document.addEventListener("click", (event) => {
  if (event.detail) event.target.closest?.("button")?.blur();
});
document.addEventListener("keydown", (event) => {
  const inside = (which) => event.target.closest?.(which);
  const fields = "input, textarea, select, canvas, [contenteditable]";
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (inside(fields) || inside("[role=tab], [role=listbox]")) return;
  // They press what is focused; a picture was chosen by that already.
  const pressed = inside("button, a") && !inside("#keras-tim-alternatives");
  if ("Enter ".includes(event.key) && pressed) return;
  const names = {ArrowLeft: "previous", ArrowRight: "next", f: "favourite",
                 " ": "swap", Enter: "save"};
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
        A `gradio.Blocks`, to be launched with `head=HEAD`.
    """
    offered = {os.path.basename(path): path for path in samples}

    def pictures(choices):
        """Alternatives' files and names; favourites have a star."""
        liked = choices.favourites
        return [
            (made.path, f"★ {made.name}" if made in liked else made.name)
            for made in choices.alternatives
        ]

    def shown(choices, chosen=None, kept=None, other=None, doing=None):
        """The alternatives, and what can be named; `kept` stays chosen."""
        names = [made.name for made in choices.alternatives]
        # Others may have been chosen in the meantime.
        stays = {} if kept in names else {"value": chosen}
        return (
            pictures(choices),
            gr.Dropdown(choices=names, **stays),
            gr.Dropdown(choices=names, **({"value": other} if other else {})),
            doing or told(choices),
            gr.Column(visible=bool(names)),
        )

    def told(choices):
        """What is there, for the line that says what happens."""
        names = choices.alternatives if choices else ()
        if not names:
            return "Drop a picture, then make alternatives of it."
        height, width = choices.size_made()
        text = (
            f"{len(names)} alternative{'s' if len(names) > 1 else ''} of "
            f"{width} x {height} pixels. Click on one to choose it."
        )
        if choices.region:
            high, wide = (tim.output_factor * n for n in choices.size())
            top, left = (tim.output_factor * n.start for n in choices.region)
            text += (
                f" They are large: **shown are {wide} x {high} pixels of each, "
                f"{left} from the left and {top} from the top.** Click on the "
                "picture given to look elsewhere. What is saved is whole."
            )
        return text

    def several(choices, count, make, kept=None):
        """Makes some; yields what is shown before and after each."""
        count, fresh, chosen, other = _number(count), kept is None, None, None
        for number in range(count):
            doing = f"Making {number + 1} of {count} ..."
            yield shown(choices, chosen, kept, other, doing)
            kept, other = kept or chosen, None
            with _sentences():
                name = make().name
            # There are two to look at as soon as there are two.
            chosen = name
            if fresh and number == 1:
                other = name
        yield shown(choices, chosen, kept, other)

    def liked(choices):
        """The favourites, and all of them in one file."""
        with _sentences():
            archive = choices.write_favourites()
        return (
            gr.Gallery(
                [(made.path, made.name) for made in choices.favourites],
                visible=bool(choices.favourites),
            ),
            gr.DownloadButton(value=archive, visible=bool(archive)),
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
        draw = functools.partial(choices.draw, temperature)
        for what in several(choices, count, draw):
            yield choices, *what, *liked(choices)

    def more(choices, count, name, temperature):
        choices = _begun(choices)
        draw = functools.partial(choices.draw, temperature)
        for what in several(choices, count, draw, name):
            yield choices, *what

    def vary(choices, name, amount, levels, count):
        choices = _begun(choices)
        near = functools.partial(choices.vary, name, amount, levels)
        for what in several(choices, count, near, name):
            yield choices, *what

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

    def choose(choices, name, other):
        if not choices or not name:
            return None, None, None, None, _MARK, *[gr.skip()] * 3
        with _sentences():
            made = choices.named(name)
            part = choices.close_up(name)
            file = choices.whole(name)
        path = made.path
        canvas = {"background": path, "layers": [], "composite": None}
        label = _UNMARK if made in choices.favourites else _MARK
        names = [made.name for made in choices.alternatives]
        ring = gr.Gallery(selected_index=names.index(name))
        if other != name:
            other = gr.skip()
        else:  # never itself
            other = choices.beside(name, 1) if len(names) > 1 else None
        save = gr.DownloadButton(value=file, interactive=bool(file))
        needed = gr.Button(visible=file is None)
        return path, canvas, save, part, label, ring, other, needed

    def whole(choices, name, progress=_PROGRESS):
        choices, done = _begun(choices), 0.0
        choices.stopped = False

        def part_done(share):
            nonlocal done
            if choices.stopped:
                raise gr.Error("Stopped.", print_exception=False)
            done += share
            progress(done, desc=f"Making the whole of {name}")

        progress(0.0, desc=f"Making the whole of {name}")
        with _sentences():
            file = choices.make_whole(name, part_done)
        return gr.DownloadButton(value=file, interactive=True), gr.Button(
            visible=False
        )

    def look(choices, path, name, event: gr.SelectData):
        if not choices or not choices.region or not path:
            yield (gr.skip(),) * 5
            return
        (x, y), (height, width) = event.index, picture_size(path)
        count = len(choices.alternatives)
        moved = choices.look(y / height, x / width)
        with _sentences():
            for number in moved:
                doing = f"Looking there: {number} of {count} ..."
                yield shown(choices, kept=name, doing=doing)
        yield shown(choices, kept=name)

    def stopped(choices):
        if choices:
            choices.stopped = True
        return told(choices), gr.Button(interactive=False)

    def mark(choices, name):
        choices = _begun(choices)
        with _sentences():
            label = _UNMARK if choices.mark(name) else _MARK
        return pictures(choices), *liked(choices), label

    def before(choices, name):
        return choices.beside(name, -1) if choices else None

    def after(choices, name):
        return choices.beside(name, 1) if choices else None

    def swap(name, other):
        return (other, name) if name and other else (name, other)

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
                with gr.Accordion("How many, how different", open=False):
                    number = gr.Slider(
                        *(1, _MOST_AT_ONCE, count),
                        step=1,
                        label="How many at a time",
                    )
                    temperature = gr.Slider(
                        *(0.0, 1.5, 1.0),
                        step=0.05,
                        label="Temperature of new ones",
                        info="Below 1 they differ less; 0 is the best guess.",
                    )
                    reduce = gr.Slider(
                        *(1, 8, 1),
                        step=1,
                        label="Reduce the picture by this factor first",
                    )
                start = gr.Button("Make alternatives", variant="primary")
                with gr.Row(elem_classes="keras-tim-row"):
                    further = gr.Button("More of them", min_width=60)
                    stop = gr.Button("Stop", min_width=60, interactive=False)
            with gr.Column(scale=2):
                status = gr.Markdown(told(None), elem_id="keras-tim-status")
                alternatives = gr.Gallery(
                    show_label=False,
                    format="png",
                    columns=4,
                    object_fit="contain",
                    allow_preview=False,
                    buttons=[],
                    interactive=False,
                    height="auto",
                    elem_id="keras-tim-alternatives",
                )
        with gr.Row(visible=False) as chooser:
            with gr.Column():
                with gr.Row(elem_classes="keras-tim-row"):
                    previous = gr.Button(
                        "←", min_width=40, elem_id="keras-tim-previous"
                    )
                    following = gr.Button(
                        "→", min_width=40, elem_id="keras-tim-next"
                    )
                    favourite = gr.Button(
                        _MARK,
                        min_width=120,
                        scale=4,
                        elem_id="keras-tim-favourite",
                    )
                name = gr.Dropdown([], value=None, label="The chosen one")
                chosen = gr.Image(
                    show_label=False,
                    format="png",
                    interactive=False,
                    buttons=["fullscreen"],
                    elem_id="keras-tim-chosen",
                )
                save = gr.DownloadButton(
                    "Save it as PNG (Enter)",
                    variant="primary",
                    elem_id="keras-tim-save",
                )
                entire = gr.Button(
                    "Make the whole of it, to save it",
                    visible=False,
                    elem_id="keras-tim-whole",
                )
                gr.Markdown(
                    "Keys: ← and → choose, space swaps the chosen one and the "
                    "other, f marks a favourite, Enter saves."
                )
                gr.Markdown("Where all of them differ most, at full size:")
                close_up = gr.Image(
                    show_label=False,
                    format="png",
                    interactive=False,
                    buttons=["fullscreen"],
                )
                favourites = gr.Gallery(
                    show_label=False,
                    format="png",
                    columns=4,
                    object_fit="contain",
                    allow_preview=False,
                    buttons=[],
                    interactive=False,
                    height="auto",
                    visible=False,
                    elem_id="keras-tim-favourites",
                )
                save_all = gr.DownloadButton(
                    "Save all favourites (ZIP)", visible=False
                )
            with gr.Column():
                with gr.Row(elem_classes="keras-tim-row", equal_height=True):
                    other = gr.Dropdown(
                        [],
                        value=None,
                        label="The other one",
                        min_width=120,
                        scale=3,
                    )
                    exchange = gr.Button(
                        "⇄ Swap",
                        min_width=60,
                        scale=1,
                        elem_id="keras-tim-swap",
                    )
                with gr.Tab("Compare"):
                    gr.Markdown("Left the chosen one, right the other.")
                    slider = gr.ImageSlider(
                        show_label=False,
                        format="png",
                        interactive=False,
                        buttons=["fullscreen"],
                    )
                with gr.Tab("Vary"):
                    gr.Markdown("More like the chosen one.")
                    amount = gr.Slider(
                        *(0.05, 1.0, 0.4), step=0.05, label="How far from it"
                    )
                    levels = gr.Radio(
                        [(said, which) for which, said in _LEVELS.items()],
                        value="all",
                        label="What may change",
                    )
                    near = gr.Button("Make more like it", variant="primary")
                with gr.Tab("Between"):
                    t = gr.Slider(
                        *(0.0, 1.0, 0.5),
                        step=0.05,
                        label="From the chosen one (0) to the other (1)",
                    )
                    half = gr.Button("Make it", variant="primary")
                with gr.Tab("Mix"):
                    gr.Markdown(
                        "Paint on the chosen one where the other is right."
                    )
                    editor = gr.ImageEditor(
                        show_label=False,
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
                        elem_id="keras-tim-painted",
                    )
                    mix = gr.Button("Mix them", variant="primary")

        made = [state, alternatives, name, other, status, chooser]
        # Of what is going on one line speaks, not every part.
        queued = {**_QUEUE, "show_progress_on": status}
        running = []
        for button, function, inputs, outputs in (
            (
                *(start, make, [picture, reduce, number, temperature]),
                [*made, favourites, save_all],
            ),
            (further, more, [state, number, name, temperature], made),
            (near, vary, [state, name, amount, levels, number], made),
            (half, between, [state, name, other, t], made),
            (mix, combine, [state, name, other, editor], made),
            (entire, whole, [state, name], [save, entire]),
        ):
            button.click(
                lambda: gr.Button(interactive=True),
                *(None, stop),
                queue=False,
                api_visibility="private",
            )
            event = button.click(
                *(function, inputs, outputs),
                api_name=function.__name__,
                **queued,
            )
            # Also where it failed.
            event.then(
                lambda choices: (told(choices), gr.Button(interactive=False)),
                *(state, [status, stop]),
                api_visibility="private",
            )
            running.append(event)
        stop.click(
            *(stopped, state, [status, stop]),
            cancels=running,
            api_visibility="private",
        )
        choosing = (
            choose,
            [state, name, other],
            [
                *(chosen, editor, save, close_up, favourite, alternatives),
                *(other, entire),
            ],
        )
        name.change(*choosing, api_name="choose", show_progress="hidden")
        looked = picture.select(
            *(look, [state, picture, name], made[1:]),
            api_visibility="private",
            **queued,
        )
        # What is called the same looks different now.
        for function, inputs, outputs in (
            choosing,
            (compare, [state, name, other], slider),
        ):
            looked.then(
                *(function, inputs, outputs),
                api_visibility="private",
                show_progress="hidden",
            )
        for button, move in ((previous, before), (following, after)):
            button.click(
                *(move, [state, name], [name]),
                api_name=move.__name__,
                show_progress="hidden",
            )
        exchange.click(
            *(swap, [name, other], [name, other]),
            api_visibility="private",
            show_progress="hidden",
        )
        favourite.click(
            mark,
            [state, name],
            [alternatives, favourites, save_all, favourite],
            api_name="mark",
            show_progress="hidden",
        )
        for gallery, select in (
            (alternatives, clicked),
            (favourites, clicked_favourite),
        ):
            gallery.select(
                *(select, [state], [name]),
                api_visibility="private",
                show_progress="hidden",
            )
        for part in (name, other):
            part.change(
                *(compare, [state, name, other], slider),
                api_visibility="private",
                show_progress="hidden",
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
