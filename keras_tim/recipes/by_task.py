"""The recipe of each task."""

from keras_tim.recipes.colourization import ColourizationRecipe
from keras_tim.recipes.decompression import DecompressionRecipe
from keras_tim.recipes.layout_synthesis import LayoutSynthesisRecipe
from keras_tim.recipes.mnist import MnistRecipe
from keras_tim.recipes.paired_images import PairedImagesRecipe
from keras_tim.recipes.super_resolution import SuperResolutionRecipe
from keras_tim.task_names import task_name

RECIPES = {
    recipe.task: recipe
    for recipe in (
        SuperResolutionRecipe,
        ColourizationRecipe,
        DecompressionRecipe,
        LayoutSynthesisRecipe,
        MnistRecipe,
        PairedImagesRecipe,
    )
}


def get_recipe(task):
    """The recipe of a task.

    Args:
        task: str, a key of `RECIPES`.

    Returns:
        A subclass of `Recipe`.

    Raises:
        ValueError: if there is none.
    """
    return RECIPES[task_name(task)]
