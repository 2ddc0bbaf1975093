"""Named recipes: each a file of settings in this folder, with a table `model` and a table `train` of fields. Those that
hold for one task alone are in `classify.model`, `classify.train`, `regress.model` and `regress.train`."""

import os
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from jitnet.config.checking import any_of
from jitnet.config.nearest import nearest
from jitnet.config.settings_file import DATA_NAMES, SettingsFile, read_toml, settings_in
from jitnet.errors import UsageError

__all__ = ["is_recipe_file", "read_recipe", "recipe", "recipe_names"]


def recipe_names() -> list[str]:
    """The names of the recipes that come with jitnet, sorted."""
    files = resources.files(__name__).iterdir()
    return sorted(entry.name.removesuffix(".toml") for entry in files if entry.name.endswith(".toml"))


def is_recipe_file(recipe: str) -> bool:
    """Whether a recipe is named by the path of its file."""
    return recipe.endswith(".toml") or "/" in recipe


def recipe(name: str, task: str = "classify") -> dict[str, dict[str, Any]]:
    """The tables `model` and `train` of a recipe, as a task needs them; UsageError lists the names where there is no
    such recipe. task: "classify" or "regress"."""
    file = read_recipe(name)
    return {
        "about": {"text": file.others.get("about", "")},
        "model": file.network.get("", {}) | file.network.get(task, {}),
        "train": file.training.get("", {}) | file.training.get(task, {}),
    }


def read_recipe(recipe: str, called: str = "--recipe") -> SettingsFile:
    """Read a recipe by its name, or one of the user's by the path of its file. UsageError lists the names where there
    is none of that name, and names file and line of what is wrong in a file, of data for example: a recipe has none.

    called: what messages call the name or path."""
    if not is_recipe_file(recipe):
        if recipe not in recipe_names():
            near = nearest(recipe, recipe_names())
            hint = f"; did you mean {near}?" if near else ""
            raise UsageError(f"{called}: there is no recipe {recipe!r}; there are {', '.join(recipe_names())}{hint}")
        return _embedded(recipe)
    path = Path(os.path.expanduser(recipe))
    if not os.path.exists(path):
        raise UsageError(f"{called}: there is no file {path}; expected a TOML file, or one of {any_of(recipe_names())}")
    file = read_toml(path)
    for name in ("recipe", *DATA_NAMES):
        if name in file.others:
            place = file.place(name)
            raise UsageError(
                f"{place}: {place.name}: a recipe has settings of the network and the training alone; leave this out, "
                "or read the file with --config"
            )
    return file


@cache
def _embedded(name: str) -> SettingsFile:
    return settings_in((resources.files(__name__) / f"{name}.toml").read_bytes(), f"recipe {name}", name)
