"""The command `keras-tim`: finds the subcommand, parses flags, reports errors.

Subcommands are modules with `DESCRIPTION`, `define_flags(values)` and
`run(values, arguments)`, which may return an exit status. Some also have
`check(values, arguments)`, which raises what no run could make sense of. The
`values` are `flags.FlagValues`, parsed but for `define_flags`, and the
`arguments` a list of str: what was given besides flags. Help and refusals come
at once: TensorFlow is imported between `check` and `run`, but for commands with
`NEEDS_TENSORFLOW = False`. `FASTER_KERNELS = True` is for those that train:
gradients gain most from them, single tiles lose.
"""

import contextlib
import difflib
import importlib
import os
import signal
import sys
import warnings

from absl import flags, logging

from keras_tim import __version__
from keras_tim.cli.startup import start_tensorflow

COMMANDS = {
    "demo": "make alternatives of a sample photo, to see what this is about",
    "train": "train a model into a run folder, or resume one",
    "sample": "make alternatives of picture files",
    "film": "walk smoothly through alternatives of a picture, in a loop",
    "gallery": "open a page to choose among alternatives on",
    "evaluate": "measure samples of held-out pictures, in one table",
    "export": "export a model for servers, devices or other stacks",
    "rarity": "weigh rare appearances of classes, for layout synthesis",
    "weights": "list cached weights, or fetch them ahead of time",
}


# What Pillow says of pictures from 90 megapixels on.
_SUSPECTED = "Image size .* could be decompression bomb"
# Some pictures could not be used; all others are done.
SOME_FAILED = 3


def main(argv=None):
    """Runs a subcommand.

    Args:
        argv: list of str, the command line after the program's name; that of
            the process by default.

    Returns:
        int, the exit status: 0; 1 for an error; 2 for a wrong command line; 3
        if some of several pictures could not be used; 130 after Ctrl-C; 143
        after SIGTERM, where the command stops in an orderly way.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0 if argv else 2
    if argv[0] == "--version":
        print(f"keras-tim {__version__}")
        return 0
    if argv[0] not in COMMANDS:
        meant = difflib.get_close_matches(argv[0], COMMANDS, n=1)
        hint = f". Did you mean {meant[0]!r}?" if meant else ""
        print(
            f"keras-tim: there is no command {argv[0]!r}{hint}\n\n"
            f"{_overview()}",
            file=sys.stderr,
        )
        return 2
    return _run(argv[0], argv[1:])


def _run(name, argv):
    command = importlib.import_module(f"keras_tim.cli.{name}")
    values = flags.FlagValues()
    flags.DEFINE_bool("debug", False, "show tracebacks", flag_values=values)
    flags.DEFINE_integer(
        "verbosity",
        logging.INFO,
        "1: what TensorFlow says of itself, too; 0: what the command says; -1: "
        "warnings and errors; -2: errors",
        lower_bound=logging.ERROR,
        upper_bound=logging.DEBUG,
        flag_values=values,
    )
    flags.DEFINE_bool("quiet", False, "print errors alone", flag_values=values)
    command.define_flags(values)
    # Before parsing, which would ask for required flags first.
    if any(argument in ("-h", "--help", "-help") for argument in argv):
        print(f"keras-tim {name}: {command.DESCRIPTION}\n")
        print(values.get_help())
        return 0
    try:
        arguments = values([f"keras-tim {name}", *argv])[1:]
    except flags.Error as error:
        print(f"keras-tim {name}: {error}", file=sys.stderr)
        print(f"See keras-tim {name} --help", file=sys.stderr)
        return 2
    # No shell expands it after `=`; a folder named ~ would be made.
    for flag in values:
        if isinstance(values[flag].value, str):
            values[flag].value = os.path.expanduser(values[flag].value)
    arguments = [os.path.expanduser(argument) for argument in arguments]
    verbosity = logging.ERROR if values.quiet else values.verbosity
    # What other packages say for their makers is left to --debug.
    _log_to_stderr(
        logging.DEBUG if values.debug else min(verbosity, logging.INFO)
    )
    try:
        with (
            _errors_alone()
            if verbosity == logging.ERROR
            else contextlib.nullcontext(),
            warnings.catch_warnings(),
        ):
            # Photos of 100 megapixels; twice as large ones are refused.
            warnings.filterwarnings("ignore", _SUSPECTED)
            if hasattr(command, "check"):
                command.check(values, arguments)
            if getattr(command, "NEEDS_TENSORFLOW", True):
                start_tensorflow(
                    errors_alone=verbosity == logging.ERROR,
                    talkative=verbosity > logging.INFO,
                    faster_kernels=getattr(command, "FASTER_KERNELS", False),
                )
            return command.run(values, arguments) or 0
    except KeyboardInterrupt as error:
        said = str(error) or "interrupted"
        print(f"keras-tim {name}: {said}", file=sys.stderr)
        return 128 + getattr(error, "signum", signal.SIGINT)
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        if values.debug:
            raise
        print(f"keras-tim {name}: error: {error}", file=sys.stderr)
        return 1


def _log_to_stderr(verbosity):
    """Has messages printed as a person reads them."""
    if not flags.FLAGS.is_parsed():
        # absl would warn that its own flags, which are not ours, are not.
        flags.FLAGS.logtostderr = True
        flags.FLAGS.mark_as_parsed()
    logging.use_absl_handler()
    logging.set_verbosity(verbosity)
    logging.get_absl_handler().setFormatter(_Plain())


@contextlib.contextmanager
def _errors_alone():
    """The scope in which tables, progress and warnings are not printed."""
    with (
        open(os.devnull, "w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


def reject_arguments(arguments):
    """Raises if something was given that is no flag."""
    if arguments:
        raise ValueError(
            "only flags are understood here. Received: " + " ".join(arguments)
        )


def report_failed(names):
    """Names pictures that could not be used.

    Args:
        names: list of str.

    Returns:
        int, the exit status.
    """
    if not names:
        return 0
    logging.error(
        "pictures that could not be used (%d), see the warnings above:\n%s",
        len(names),
        "\n".join(names),
    )
    return SOME_FAILED


class _Plain(logging.PythonFormatter):
    """Messages as a person reads them: warnings marked, no file names."""

    def format(self, record):
        message = record.getMessage()
        if record.levelno >= 30:  # warnings and worse
            return f"{record.levelname.lower()}: {message}"
        return message


def _overview():
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            "keras-tim: many plausible outputs for one input",
            "",
            "usage: keras-tim COMMAND [--flag=value ...]",
            "",
            *lines,
            "",
            "keras-tim COMMAND --help shows the flags of a command.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
