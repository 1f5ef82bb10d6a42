"""The command `keras-tim`: finds the subcommand, parses flags, reports errors.

Subcommands are modules with `DESCRIPTION`, `define_flags(values)` and
`run(values, arguments)`, which may return an exit status. They are imported
when they are asked for, so that help is quick.
"""

import importlib
import os
import signal
import sys

from absl import flags, logging

COMMANDS = {
    "demo": "train a small model on bundled photos and look at its samples",
    "train": "train a model into a run folder, or resume one",
    "sample": "make alternatives of picture files",
    "film": "walk smoothly through alternatives of a picture, in a loop",
    "gallery": "open a page to choose among alternatives on",
    "evaluate": "measure samples of held-out pictures, in one table",
    "export": "export a model for servers, devices or other stacks",
    "rarity": "weigh rare appearances of classes, for layout synthesis",
    "weights": "list cached weights, or fetch them ahead of time",
}


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
        from importlib.metadata import version

        print(f"keras-tim {version('keras-tim')}")
        return 0
    if argv[0] not in COMMANDS:
        print(
            f"keras-tim: there is no command {argv[0]!r}\n\n{_overview()}",
            file=sys.stderr,
        )
        return 2
    return _run(argv[0], argv[1:])


def _run(name, argv):
    command = importlib.import_module(f"keras_tim.cli.{name}")
    values = flags.FlagValues()
    flags.DEFINE_bool("debug", False, "show tracebacks", flag_values=values)
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
    logging.use_absl_handler()
    logging.set_verbosity(logging.DEBUG if values.debug else logging.INFO)
    logging.get_absl_handler().setFormatter(_Plain())
    try:
        return command.run(values, arguments) or 0
    except KeyboardInterrupt as error:
        print(f"keras-tim {name}: {error or 'interrupted'}", file=sys.stderr)
        return 128 + getattr(error, "signum", signal.SIGINT)
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        if values.debug:
            raise
        print(f"keras-tim {name}: error: {error}", file=sys.stderr)
        return 1


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
