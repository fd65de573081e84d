"""Training of any cascade by a recipe."""

from pancascade.training.loop import fit
from pancascade.training.objectives import DivergedError
from pancascade.training.other_data import recipe_on
from pancascade.training.recipe import Recipe, find_recipe, read_recipe
from pancascade.training.run import Run

__all__ = ["DivergedError", "Recipe", "Run", "find_recipe", "fit", "read_recipe", "recipe_on"]
