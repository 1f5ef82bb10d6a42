"""The Gradio page of `keras-tim gallery`: its controls and their events."""

import os

import gradio as gr

from keras_tim.gallery.actions import BEGIN, MARK, MOST_AT_ONCE, Actions
from keras_tim.inference.sizing import can_repair

# One picture at a time is made, whoever asks. No part has a share button, which
# would send pictures elsewhere.
_QUEUE = {"concurrency_limit": 1, "concurrency_id": "model"}
# Of how many seconds without a word a session's alternatives are forgotten.
_FORGET = 6 * 3600
_LEVELS = {
    "all": "everything",
    "fine": "fine detail alone",
    "coarse": "all but fine detail",
}
# Of what a visitor does not ask for by name nothing is said in the API.
_QUIET = {"api_visibility": "private", "show_progress": "hidden"}


def build_page(
    tim,
    folder,
    samples=(),
    count=4,
    preset=None,
    tile="auto",
    repair=False,
):
    """Builds the page.

    Args:
        tim: a `TIM`.
        folder: where the alternatives' files go.
        samples: paths of pictures to offer.
        count: int, how many alternatives to make at a time, at first.
        preset: str or None, the model's name, for the records.
        tile: as `TIM.sample` takes it. Of what is made in tiles a region is
            shown.
        repair: bool, whether JPEG files are repaired unless a person says
            otherwise, see `keras_tim.inference.sample_files`.

    Returns:
        A `gradio.Blocks`, to be launched with the `HEAD` of
        `keras_tim.gallery.head`.
    """
    offered = {os.path.basename(path): path for path in samples}
    actions = Actions(tim, folder, preset, tile)

    with gr.Blocks(title="keras_tim", analytics_enabled=False) as page:
        state = gr.State(None, time_to_live=_FORGET)
        place = gr.State(None)
        gr.Markdown(
            "# One picture, many plausible answers\n"
            "What an alternative shows beyond the picture given is invented. "
            "Nothing leaves this machine."
        )
        with gr.Row(elem_classes="keras-tim-row", elem_id="keras-tim-doing"):
            status = gr.Markdown(BEGIN, elem_id="keras-tim-status")
            stop = gr.Button(
                "Stop", min_width=60, visible=False, elem_id="keras-tim-stop"
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
                    elem_id="keras-tim-given",
                    elem_classes="keras-tim-framed",
                )
                # As it came, whatever it is: what cannot be used is refused by
                # a sentence, and nothing is converted.
                picture.preprocess = lambda file: file and file.path
                read = gr.Image(
                    label="What the model is given",
                    format="png",
                    interactive=False,
                    visible=False,
                    buttons=["fullscreen"],
                    elem_id="keras-tim-read",
                    elem_classes="keras-tim-framed",
                )
                sample = gr.Dropdown(
                    list(offered),
                    value=None,
                    label="or one of these",
                    visible=bool(offered),
                )
                with gr.Accordion("How many, how different", open=False):
                    number = gr.Slider(
                        *(1, MOST_AT_ONCE, count),
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
                        visible=tim.task_definition.working_side is None,
                    )
                    repaired = gr.Checkbox(
                        value=repair,
                        label="Repair a JPEG: results of its size",
                        info="Its blocks go, what the file says stays. It is "
                        "reduced by 2 first, or by more.",
                        visible=can_repair(tim),
                    )
                start = gr.Button("Make alternatives", variant="primary")
                further = gr.Button("More of them")
            with gr.Column(scale=2):
                hint = gr.Markdown("")
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
                        MARK,
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
                    "other, f marks a favourite, Enter saves.",
                    elem_id="keras-tim-keys",
                )
                gr.Markdown("Where all of them differ most, in full size:")
                close_up = gr.Image(
                    show_label=False,
                    format="png",
                    interactive=False,
                    buttons=["fullscreen"],
                    elem_id="keras-tim-close",
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

        # Styles alone, so that it stands where it leaves no gap.
        frame = gr.HTML(visible=False, padding=False)

        shown = [alternatives, name, other, status, chooser, hint, frame]
        made = [state, *shown]
        # Of what is going on one line speaks, not every part.
        queued = {**_QUEUE, "show_progress_on": status}
        running = []

        def settle(*events, **options):
            """Says what is there when an event has ended, whichever way."""
            for event in events:
                # What failed has no `then`.
                for follow in (event.then, event.failure):
                    follow(
                        actions.settled,
                        [state, name, other],
                        [*shown, stop, chosen, slider, close_up],
                        **_QUEUE,
                        **_QUIET,
                        **options,
                    )

        def begin(event):
            event(
                *(actions.begins, None, [status, stop]), queue=False, **_QUIET
            )

        for button, function, inputs, outputs in (
            (
                start,
                actions.make,
                [picture, reduce, number, temperature, repaired],
                [*made, favourites, save_all],
            ),
            (further, actions.more, [state, number, name, temperature], made),
            (near, actions.vary, [state, name, amount, levels, number], made),
            (half, actions.between, [state, name, other, t], made),
            (mix, actions.combine, [state, name, other, editor], made),
            (entire, actions.whole, [state, name], [save, entire]),
        ):
            begin(button.click)
            running.append(
                button.click(
                    *(function, inputs, outputs),
                    api_name=function.__name__,
                    **queued,
                )
            )
        settle(*running)

        choosing = (
            actions.choose,
            [state, name, other],
            [
                *(chosen, editor, save, close_up, favourite, alternatives),
                *(other, entire),
            ],
        )
        name.change(*choosing, api_name="choose", show_progress="hidden")
        for part, where in (
            (picture, actions.where),
            (read, actions.where_read),
        ):
            part.select(where, [state, picture], place, **_QUIET)
        looked = place.change(
            actions.look,
            [state, place, name, other],
            [*shown, stop, chosen, slider],
            api_visibility="private",
            # Of several clicks the last one counts.
            trigger_mode="always_last",
            **queued,
        )
        settle(looked)
        # What is called the same looks different now.
        looked.then(*choosing, **_QUIET)
        running.append(looked)
        stop.click(
            *(actions.stop, state, [status, stop]),
            queue=False,
            cancels=running,
            **_QUIET,
        )
        for button, move in (
            (previous, actions.before),
            (following, actions.after),
        ):
            button.click(
                *(move, [state, name], [name]),
                api_name=move.__name__,
                show_progress="hidden",
            )
        exchange.click(actions.swap, [name, other], [name, other], **_QUIET)
        favourite.click(
            actions.mark,
            [state, name],
            [alternatives, favourites, save_all, favourite],
            api_name="mark",
            show_progress="hidden",
        )
        for gallery, select in (
            (alternatives, actions.clicked),
            (favourites, actions.clicked_favourite),
        ):
            gallery.select(select, [state], [name], **_QUIET)
        for part in (name, other):
            part.change(actions.compare, [state, name, other], slider, **_QUIET)
        picture.change(actions.given, picture, [read, frame], **_QUIET)
        sample.change(
            offered.get, [sample], [picture], api_visibility="private"
        )
    return page
