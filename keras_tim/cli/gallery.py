"""keras-tim gallery."""

import logging as python_logging
import os
import signal
import tempfile
import threading

from absl import flags, logging

from keras_tim import images, inference
from keras_tim.cli.opening import (
    define_model_flags,
    model_of,
    open_model,
    preset_of,
)
from keras_tim.cli.sample import parse_tile
from keras_tim.gallery.head import HEAD

DESCRIPTION = """open a page on this machine to choose among alternatives on.

  keras-tim gallery [PICTURE_OR_FOLDER ...]

Drop a picture on the page; alternatives appear one by one. Ask for more like
the one you choose, go between two, or paint where another one is right and mix
both. Mark favourites and save all of them. The arrow keys choose the next
alternative and the one before, f marks a favourite, Enter saves the chosen
one. Pictures named here are offered on the page. It answers this machine
alone, and nothing leaves it. Ctrl-C ends it.

Needs pip install 'keras-tim[gallery]'."""


def define_flags(values):
    """Defines the command's flags."""
    text = {"flag_values": values}
    define_model_flags(values)
    flags.DEFINE_integer(
        "port",
        None,
        "where to listen; by default the first free one from 7860 on",
        lower_bound=1,
        upper_bound=65535,
        **text,
    )
    flags.DEFINE_integer(
        "count",
        4,
        "how many alternatives to make at a time, at first",
        lower_bound=1,
        upper_bound=16,
        **text,
    )
    flags.DEFINE_string(
        "tile",
        "auto",
        "make pictures in tiles of so many pixels of the output on a side, for "
        "less memory, and show a region of those that are larger; auto: where "
        "they need more than 2 GB; none: whole",
        **text,
    )
    flags.DEFINE_bool("browser", True, "open a browser", **text)


def check(values, arguments):
    """Raises where there is no model, or no such tile."""
    model_of(values, of_files=True)
    parse_tile(values.tile)


def run(values, arguments):
    """Serves the page until it is interrupted."""
    # Before it is imported: it tells nobody that it runs.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    with tempfile.TemporaryDirectory(prefix="keras_tim-gallery-") as folder:
        # Copies of people's pictures, gone when it ends.
        os.environ["GRADIO_TEMP_DIR"] = os.path.join(folder, "page")
        try:
            import gradio  # noqa: F401
        except ImportError as error:
            raise ImportError(
                "The page needs Gradio: pip install 'keras-tim[gallery]'"
            ) from error
        _serve(values, arguments, folder)


def _serve(values, arguments, folder):
    from keras_tim.gallery.page import build_page

    pictures = []
    for path in arguments:
        if os.path.isdir(path):
            pictures += [str(inside) for inside in images.find_pictures(path)]
        elif os.path.isfile(path):
            pictures.append(path)
        else:
            raise FileNotFoundError(f"There is no picture or folder {path}.")
    pictures = [os.path.abspath(path) for path in pictures]
    model = model_of(values, of_files=True)
    tim = open_model(values, model, of_files=True)
    page = build_page(
        *(tim, folder, pictures, values.count, preset_of(model)),
        tile=parse_tile(values.tile),
        repair=inference.repairs(tim, values.task),
    )
    # It asks itself whether it has started.
    python_logging.getLogger("httpx").setLevel(python_logging.WARNING)
    _, address, _ = page.launch(
        server_name="127.0.0.1",
        server_port=values.port,
        share=False,
        inbrowser=values.browser,
        prevent_thread_lock=True,
        quiet=True,
        show_error=True,
        ssr_mode=False,
        mcp_server=False,
        run_history=False,
        allowed_paths=[folder, *pictures],
        max_file_size="256mb",
        footer_links=[],
        head=HEAD,
    )
    logging.info("The page is at %s (Ctrl-C ends it)", address)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        logging.info("The page is closed.")
    finally:
        page.close(verbose=False)
