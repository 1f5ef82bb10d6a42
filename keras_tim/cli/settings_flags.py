"""Flags of settings, from what their fields say."""

from absl import flags

from keras_tim.options import options_of
from keras_tim.task_names import spelled_here

# Help lists flags under the command that has them.
flags.disclaim_key_flags()

_DEFINE = {
    bool: flags.DEFINE_bool,
    float: flags.DEFINE_float,
    int: flags.DEFINE_integer,
    str: flags.DEFINE_string,
}


def define_settings_flags(values, settings, defaults=None, texts=None):
    """Defines flags by the names of settings.

    Args:
        values: `flags.FlagValues` to define them in.
        settings: a dataclass whose fields are made by
            `keras_tim.options.option`.
        defaults: dict from name to the flag's default, None for all others;
            by default that of the field.
        texts: dict from the names of those that are wanted to their help; by
            default all, with that of the field.
    """
    for option in options_of(settings):
        if texts is not None and option.name not in texts:
            continue
        default = option.default
        if defaults is not None:
            default = defaults.get(option.name)
        name = option.name
        text = option.text if texts is None else texts[name]
        if option.names:
            flag = flag_of_names(name, default, option.names(), text)
            flags.DEFINE_flag(flag, values)
        elif option.many and option.choices:
            flags.DEFINE_multi_enum(
                name, default, option.choices, text, flag_values=values
            )
        elif option.many:
            if default is not None:
                several = default if isinstance(default, tuple) else [default]
                default = [str(value) for value in several]
            flags.DEFINE_list(name, default, text, flag_values=values)
        elif option.choices:
            flags.DEFINE_enum(
                name, default, option.choices, text, flag_values=values
            )
        else:
            bounds = {}
            if option.type is int:
                bounds = {
                    "lower_bound": option.least,
                    "upper_bound": option.most,
                }
            _DEFINE[option.type](
                name, default, text, flag_values=values, **bounds
            )


def chosen_settings(values, settings):
    """What flags say, as the settings take it.

    Args:
        values: parsed flags, of which there is one by every field's name.
        settings: the dataclass, see `define_settings_flags`.

    Returns:
        dict from a field's name to its value.

    Raises:
        ValueError: if a list of numbers holds something else.
    """
    chosen = {}
    for option in options_of(settings):
        value = values[option.name].value
        if option.many and value is not None:
            value = _several(option, value)
        chosen[option.name] = value
    return chosen


def _several(option, texts):
    """A tuple, or the only one where that will do."""
    try:
        found = tuple(option.type(text) for text in texts)
    except ValueError as error:
        raise ValueError(
            f"--{option.name} must be "
            f"{'a number, or several' if option.one else 'numbers'} with "
            f"commas between them. Received: {','.join(texts)!r}"
        ) from error
    return found[0] if option.one and len(found) == 1 else found


def flag_of_names(name, default, names, text):
    """A flag for names of tasks or presets, however these are spelled.

    Args:
        name: str, the flag's.
        default: str or None.
        names: list of str, those that there are.
        text: str, help.

    Returns:
        A flag for `flags.DEFINE_flag`.
    """
    flag = flags.EnumFlag(name, default, text, names)
    flag.parser = _Names(names)
    return flag


class _Names(flags.EnumParser):
    """Names in the spelling of this package."""

    def parse(self, argument):
        return super().parse(spelled_here(argument))
