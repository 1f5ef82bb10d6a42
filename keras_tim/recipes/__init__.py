"""Recipes: the examples of each task, for training and measuring."""

from typing import TYPE_CHECKING

from keras_tim.lazy import lazy_names

if TYPE_CHECKING:
    from keras_tim.recipes.by_task import RECIPES, get_recipe
    from keras_tim.recipes.recipe import Recipe

__all__ = ["RECIPES", "Recipe", "get_recipe"]

# Commands name them before TensorFlow is there.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "keras_tim.recipes.by_task": ["RECIPES", "get_recipe"],
        "keras_tim.recipes.recipe": ["Recipe"],
    },
)
