"""keras-tim weights."""

from absl import flags

from keras_tim import perceptual
from keras_tim.cli.main import reject_arguments

DESCRIPTION = """list cached weights, or fetch them ahead of time.

  keras-tim weights                  lists them
  keras-tim weights --fetch=all      fetches what is missing"""

NEEDS_TENSORFLOW = False


def define_flags(values):
    """Defines the command's flags."""
    flags.DEFINE_list(
        "fetch",
        [],
        "names of weights to fetch, or all",
        flag_values=values,
    )


def run(values, arguments):
    """Fetches what is asked for and lists the cache."""
    reject_arguments(arguments)
    names = [record.name for record in perceptual.cached_weights()]
    wanted = names if values.fetch == ["all"] else values.fetch
    for name in wanted:
        if name not in names:
            raise ValueError(
                f"there are no weights {name!r}, only {', '.join(names)}"
            )
        perceptual.fetch_weights(name)
    for record in perceptual.cached_weights():
        print(
            f"{record.name:<12}  {record.state:<8}  "
            f"{record.size / 1e6:6.1f} MB  {record.path}"
        )
