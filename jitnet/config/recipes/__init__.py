"""Named recipes: each a TOML file in this folder, with a table `model` and a table `train` of fields. Those that hold
for one task alone are in `classify.model`, `classify.train`, `regress.model` and `regress.train`."""

import tomllib
from importlib import resources
from typing import Any

from jitnet.config.nearest import nearest
from jitnet.errors import UsageError

__all__ = ["recipe", "recipe_names"]


def recipe_names() -> list[str]:
    """The names of the recipes that come with jitnet, sorted."""
    files = resources.files(__name__).iterdir()
    return sorted(entry.name.removesuffix(".toml") for entry in files if entry.name.endswith(".toml"))


def recipe(name: str, task: str = "classify") -> dict[str, dict[str, Any]]:
    """The tables `model` and `train` of a named recipe, as a task needs them; UsageError lists the names where there is
    no such recipe. task: "classify" or "regress"."""
    if name not in recipe_names():
        near = nearest(name, recipe_names())
        hint = f"; did you mean {near}?" if near else ""
        raise UsageError(f"--recipe: there is no recipe {name!r}; there are {', '.join(recipe_names())}{hint}")
    text = (resources.files(__name__) / f"{name}.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)
    return {
        "about": {"text": tables.get("about", "")},
        **{kind: tables.get(kind, {}) | tables.get(task, {}).get(kind, {}) for kind in ("model", "train")},
    }
