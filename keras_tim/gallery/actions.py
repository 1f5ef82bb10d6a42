"""What the controls of the gallery's page do."""

import contextlib
import functools
import os
import tempfile
import time

import gradio as gr
import numpy as np
from PIL import Image

from keras_tim.gallery.choices import Choices
from keras_tim.images.originals import read_original
from keras_tim.images.pictures import picture_size
from keras_tim.inference.last_steps import last_step
from keras_tim.inference.reading import read_input
from keras_tim.inference.samples import (
    picture_digest,
    what_is_said,
    what_it_is_made_from,
)
from keras_tim.inference.sizing import Sizing

MOST_AT_ONCE = 16
MARK, UNMARK = "☆ Favourite", "★ Favourite: take the star away"
BEGIN = "Drop a picture, then make alternatives of it."
WAIT = "One moment ..."
# A brush is so much narrower than the picture.
_STROKES = 20
# What browsers show of themselves; of other pictures a smaller one is shown, so
# many pixels on its longer side.
_SHOWN = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp")
_SHOWN += (".avif",)
_PREVIEW = 1024
# Gradio finds it among the arguments' defaults.
_PROGRESS = gr.Progress()


class Actions:
    """What the controls do, by the names that the page's API has for them.

    Each takes what its controls hold and returns what others are to show;
    `choices` is a visitor's `Choices`, or None before there are any.

    Args:
        tim: a `TIM`.
        folder: str, where the alternatives' files go.
        preset: str or None, the model's name, for the records.
        tile: as `TIM.sample` takes it.
    """

    def __init__(self, tim, folder, preset=None, tile="auto"):
        self._tim = tim
        self._folder = folder
        self._preset = preset
        self._tile = tile

    # -- Pictures that are given -------------------------------------------

    def given(self, path):
        """Looks at a picture as soon as it is there."""
        hidden = gr.Image(value=None, visible=False), gr.HTML(visible=False)
        if not path:
            return hidden
        with sentences(path):
            size = picture_size(path)
            # Of what is no picture of colours one sees little, too.
            if _seen_as_it_is(path) and self._tim.input_channels == 3:
                return hidden
            read = self._tim.shown(read_input(self._tim, path))
        pixels = Image.fromarray(np.rint(255.0 * read).astype("uint8"))
        if max(size) > _PREVIEW:
            pixels.thumbnail((_PREVIEW, _PREVIEW))
        return gr.Image(value=pixels, visible=True), hidden[1]

    def make(self, path, reduce, count, temperature, repair=False):
        if not path:
            raise failed("Drop a picture first.")
        with sentences(path):
            if self._tim.task_definition.working_side is not None:
                reduce = None
            reduce = reduce and int(reduce)
            if repair and reduce == 1:
                reduce = None
            sizing = Sizing.of(self._tim, reduce, repair=repair)
            reading = sizing.reading(path)
            record = {"of": picture_digest(path)}
            record |= what_is_said(path, self._preset)
            record |= what_it_is_made_from(self._tim, **reading)
            if sizing.share is not None:
                record["share"] = sizing.share
            given = read_input(self._tim, path, **reading)
            original = read_original(path, self._tim.task_definition.keeps)
            stem = os.path.splitext(os.path.basename(path))[0]
            own = tempfile.mkdtemp(dir=self._folder)
            choices = Choices(
                *(self._tim, given, stem, own, record, original),
                tile=self._tile,
                last=last_step(
                    *(self._tim, path, sizing.of_picture(path), sizing.share)
                ),
            )
        choices.path = path
        draw = functools.partial(choices.draw, temperature)
        for what in self._several(choices, count, draw):
            yield choices, *what, *_liked(choices)

    # -- More alternatives -------------------------------------------------

    def more(self, choices, count, name, temperature):
        choices = begun(choices)
        draw = functools.partial(choices.draw, temperature)
        for what in self._several(choices, count, draw, name):
            yield choices, *what

    def vary(self, choices, name, amount, levels, count):
        choices = begun(choices)
        near = functools.partial(choices.vary, name, amount, levels)
        for what in self._several(choices, count, near, name):
            yield choices, *what

    def between(self, choices, name, other, t):
        choices = begun(choices)
        yield choices, *self.shown(choices, kept=name, said="Making it ...")
        with sentences():
            made = choices.between(name, other, t)
        yield choices, *self.shown(choices, made.name)

    def combine(self, choices, name, other, painted):
        choices = begun(choices)
        yield choices, *self.shown(choices, kept=name, said="Mixing them ...")
        with sentences():
            mask = painted_mask(painted, choices.size())
            made = choices.combine(name, other, mask)
        yield choices, *self.shown(choices, made.name)

    def _several(self, choices, count, make, kept=None):
        """Makes some; yields what is shown before and after each."""
        count, fresh, chosen, other = _number(count), kept is None, None, None
        doing = choices.doing
        for number in range(count):
            said = f"Making {number + 1} of {count} ..."
            yield self.shown(choices, chosen, kept, other, said)
            if choices.doing is not doing:
                break
            kept, other = kept or chosen, None
            with sentences():
                name = make().name
            # There are two to look at as soon as there are two.
            chosen = name
            if fresh and number == 1:
                other = name
        yield self.shown(choices, chosen, kept, other)

    # -- Choosing ----------------------------------------------------------

    def choose(self, choices, name, other):
        if not choices or not name:
            return None, None, None, None, MARK, *[gr.skip()] * 3
        with sentences():
            made = choices.named(name)
            part = choices.close_up(name)
            file = choices.whole(name)
            brush = max(1, round(max(picture_size(made.path)) / _STROKES))
        canvas = {"background": made.path, "layers": [], "composite": None}
        editor = gr.ImageEditor(
            value=canvas,
            brush=gr.Brush(
                colors=["#ff00ff"], color_mode="fixed", default_size=brush
            ),
        )
        label = UNMARK if made in choices.favourites else MARK
        names = [made.name for made in choices.alternatives]
        ring = gr.Gallery(selected_index=names.index(name))
        if other != name:
            other = gr.skip()
        else:  # never itself
            other = choices.beside(name, 1) if len(names) > 1 else None
        save = gr.DownloadButton(value=file, interactive=bool(file))
        needed = gr.Button(visible=file is None)
        return made.path, editor, save, part, label, ring, other, needed

    def compare(self, choices, name, other):
        if not choices or not name or not other:
            return None
        with sentences():
            return choices.named(name).path, choices.named(other).path

    def before(self, choices, name):
        return choices.beside(name, -1) if choices else None

    def after(self, choices, name):
        return choices.beside(name, 1) if choices else None

    def swap(self, name, other):
        return (other, name) if name and other else (name, other)

    def clicked(self, choices, event: gr.SelectData):
        return choices.alternatives[event.index].name

    def clicked_favourite(self, choices, event: gr.SelectData):
        return choices.favourites[event.index].name

    def mark(self, choices, name):
        choices = begun(choices)
        with sentences():
            label = UNMARK if choices.mark(name) else MARK
        return _pictures(choices), *_liked(choices), label

    # -- Large pictures ----------------------------------------------------

    def where(self, choices, path, event: gr.SelectData):
        """Where in the picture given was clicked, as `look` takes it."""
        return self._place(choices, path, event.index, 1.0)

    def where_read(self, choices, path, event: gr.SelectData):
        """The same in what is shown of it where a browser cannot."""
        smaller = path and min(1.0, _PREVIEW / max(picture_size(path)))
        return self._place(choices, path, event.index, smaller)

    def _place(self, choices, path, index, smaller):
        if not choices or not choices.region or path != choices.path:
            return None
        (x, y), (height, width) = index, picture_size(path)
        # An earlier look ends, since nobody waits for it any more. The last
        # number tells two clicks on one place apart.
        down, across = y / (smaller * height), x / (smaller * width)
        choices.place = down, across, time.monotonic()
        return choices.place

    def look(self, choices, place, name, other):
        """Shows another region of all alternatives."""
        if not choices or place is None or place != choices.place:
            yield (gr.skip(),) * 10
            return
        doing, count = begun(choices).doing, len(choices.alternatives)

        def seen(said=None):
            # What one looks at first is there first.
            return (
                *self.shown(choices, kept=name, said=said),
                gr.Button(visible=True),
                choices.named(name).path if name else None,
                self.compare(choices, name, other),
            )

        moved = choices.look(*place[:2], (name, other))
        with sentences(), contextlib.closing(moved):
            for number in moved:
                if choices.doing is not doing or place != choices.place:
                    break
                yield seen(f"Looking there: {number} of {count} made ...")
        yield seen()

    def whole(self, choices, name, progress=_PROGRESS):
        choices, done = begun(choices), 0.0
        doing = choices.doing

        def part_done(share):
            nonlocal done
            if choices.doing is not doing:
                raise failed("Stopped.")
            done += share
            progress(done, desc=f"Making the whole of {name}")

        progress(0.0, desc=f"Making the whole of {name}")
        with sentences():
            file = choices.make_whole(name, part_done)
        return gr.DownloadButton(value=file, interactive=True), gr.Button(
            visible=False
        )

    # -- What happens ------------------------------------------------------

    def begins(self):
        """Said at once, even where it has to wait for others."""
        return WAIT, gr.Button(visible=True)

    def stop(self, choices):
        """Ends what is made, when the part that is being made is done."""
        if choices:
            choices.doing = None
        return "Stopping, when this part is done ...", gr.Button(visible=False)

    def settled(self, choices, name, other):
        """What is there when something has ended, whichever way."""
        if not choices:
            return *self.shown(None), gr.Button(visible=False), None, None, None
        # What was stopped may have been a look elsewhere.
        choices.stay()
        named = {made.name for made in choices.alternatives}
        if name not in named:
            seen = (gr.skip(),) * 3
        else:
            with sentences():
                seen = (
                    choices.named(name).path,
                    self.compare(choices, name, other)
                    if other in named
                    else None,
                    choices.close_up(name),
                )
        return *self.shown(choices, kept=name), gr.Button(visible=False), *seen

    def shown(self, choices, chosen=None, kept=None, other=None, said=None):
        """The alternatives, and what can be named; `kept` stays chosen."""
        names = [made.name for made in choices.alternatives] if choices else []
        # Others may have been chosen in the meantime.
        stays = {} if kept in names else {"value": chosen}
        frame = self._frame(choices)
        return (
            _pictures(choices) if choices else [],
            gr.Dropdown(choices=names, **stays),
            gr.Dropdown(choices=names, **({"value": other} if other else {})),
            said or self.told(choices),
            gr.Column(visible=bool(names)),
            self._hint(choices, names),
            gr.HTML(value=frame, visible=bool(frame)),
        )

    def told(self, choices):
        """What is there, for the line that says what happens."""
        names = choices.alternatives if choices else ()
        if not names:
            return BEGIN
        height, width = choices.size_made()
        return (
            f"{len(names)} alternative{'s' if len(names) > 1 else ''} of "
            f"{width} x {height} pixels."
        )

    def _hint(self, choices, names):
        """What to do with the alternatives."""
        if not names:
            return ""
        text = "Click on one to choose it."
        if choices.region:
            high, wide = (self._tim.output_factor * n for n in choices.size())
            text += (
                f" They are large: **shown are {wide} x {high} pixels of "
                "each**, the frame in the picture given. Click there to look "
                "elsewhere. What is saved is whole."
            )
        return text

    def _frame(self, choices):
        """A frame in the picture given around what is shown; or nothing."""
        if not choices or not choices.region or not choices.alternatives:
            return ""
        place = {}
        names = ("top", "height"), ("left", "width")
        for part, length, (start, extent) in zip(
            choices.region, choices.size_given, names, strict=True
        ):
            percent = 100.0 / length
            place[start] = percent * part.start
            place[extent] = percent * (part.stop - part.start)
        where = "; ".join(f"{side}: {n:.3f}%" for side, n in place.items())
        seen = _seen_as_it_is(choices.path)
        around = ".keras-tim-framed" if seen else "#keras-tim-read"
        return (
            f"<style>{around} .image-frame::after {{content: ''; "
            f"position: absolute; box-sizing: border-box; {where}; border: "
            "2px solid #fff; outline: 2px solid #000; pointer-events: none}"
            "</style>"
        )


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
def sentences(path=None):
    """Shows errors of the package as what they say.

    Args:
        path: str or None, a visitor's picture; of it the name is shown, not
            where the page keeps it.
    """
    try:
        yield
    except (ValueError, OSError) as error:
        text = str(error)
        if path:
            text = text.replace(str(path), os.path.basename(path))
        raise failed(text) from error


def failed(sentence):
    """What shows a sentence; for who runs the page it is no error."""
    return gr.Error(sentence, print_exception=False)


def begun(choices):
    """A visitor's alternatives, of which more are to be made."""
    if choices is None:
        raise failed("Make alternatives of a picture first.")
    choices.doing = object()
    choices.stay()
    return choices


def _seen_as_it_is(path):
    """Whether browsers show a picture file."""
    return os.path.splitext(path)[1].lower() in _SHOWN


def _pictures(choices):
    """Alternatives' files and names; favourites have a star."""
    liked = choices.favourites
    return [
        (made.path, f"★ {made.name}" if made in liked else made.name)
        for made in choices.alternatives
    ]


def _liked(choices):
    """The favourites, and all of them in one file."""
    with sentences():
        archive = choices.write_favourites()
    return (
        gr.Gallery(
            [(made.path, made.name) for made in choices.favourites],
            visible=bool(choices.favourites),
        ),
        gr.DownloadButton(value=archive, visible=bool(archive)),
    )


def _number(count):
    return min(max(int(count), 1), MOST_AT_ONCE)
