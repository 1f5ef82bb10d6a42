"""Which model a command works with."""

from absl import logging


def open_model(values):
    """Opens the model that the flags name, or the one of the task.

    Args:
        values: parsed flags, of which `model` and `task` count.

    Returns:
        Tuple of a `TIM` and the `keras_tim.recipes.Recipe` of its task.

    Raises:
        ValueError: if there is none, or it has learned another task.
    """
    from keras_tim.models.pretrained import default_preset
    from keras_tim.recipes import get_recipe
    from keras_tim.runs.settings import RunSettings, load_settings
    from keras_tim.runs.training_run import load_run

    model = values.model
    if model is None:
        model = default_preset(values.task or "super_resolution")
        logging.info("The model is the preset %s.", model)
    tim = load_run(model)
    if values.task not in (None, tim.task):
        raise ValueError(f"{model} has learned {tim.task}, not {values.task}")
    settings = load_settings(model) or RunSettings.of_task(tim.task)
    recipe = get_recipe(tim.task)(settings, model)
    recipe.take_over(tim)
    return tim, recipe
