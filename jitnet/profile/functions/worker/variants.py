"""A second version of a function: from another copy of its package, or with other options of its decorator."""

import sys
from dataclasses import replace
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from jitnet.profile.functions.worker.copies import Change, changed_copy
from jitnet.profile.functions.worker.subject import Refused, Subject, find, subject_of

__all__ = ["find_apart", "with_options"]


def find_apart(target: str, before: set[str]) -> Subject:
    """Return a second function, where another version of its module, or of what it imports, may be loaded already.

    before: names of the modules that were loaded before the first function's. Those that came since are hidden where
    the second's folder has another file of the same name: two checkouts of a package can be compared.
    """
    where = target.rpartition(":")[0]
    if not (where.endswith(".py") or "/" in where):
        return find(target)
    folder = Path(where).resolve().parent
    while (folder / "__init__.py").exists():
        folder = folder.parent
    hidden = {}
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if not Path(file).is_relative_to(folder) and PathFinder.find_spec(name.partition(".")[0], [str(folder)]):
            hidden[name] = sys.modules.pop(name)
    try:
        return find(target)
    finally:
        for name, module in hidden.items():  # what the first imports later, while it runs
            sys.modules.setdefault(name, module)


def with_options(subject: Subject, options: dict[str, Any], target: str) -> Subject:
    """Return a copy of the function, compiled with these options of its decorator in place of those it has."""
    if all(subject.options.get(name) == value for name, value in options.items()):
        has = ", ".join(f"{name}={value!r}" for name, value in options.items())
        raise Refused(f"--options: {target} has {has} already; write what to change")
    if subject.by_element and ("parallel" in options or subject.dispatcher is None):
        what = "parallel is an option of njit" if "parallel" in options else "it is compiled for another target"
        raise Refused(f"--options: {target} is under @{subject.kind}, and {what}; expected fastmath or error_model")
    made = subject_of(changed_copy(subject, {subject.function: Change(options)}))
    assert made is not None
    return replace(made, owner=subject.owner, notes=subject.notes)
