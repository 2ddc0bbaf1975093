"""The user's modules, by their names or files: for worker processes, since loading one runs its code."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

__all__ = ["load_module"]


def load_module(where: str) -> ModuleType:
    """Import a module: a dotted name, or the path of a file. Raises what its code raises."""
    if where.endswith(".py") or "/" in where:
        return _load_file(Path(where).resolve())
    return importlib.import_module(where)


def _load_file(path: Path) -> ModuleType:
    """Load a file as a module of its name; one inside a package as part of that package, so that its imports work."""
    folder, parts = path.parent, [path.stem]
    inside = set()
    while (folder / "__init__.py").exists():
        inside.add(folder)
        parts.insert(0, folder.name)
        folder = folder.parent
    # A package's modules have no names of their own: from its folder, one could be taken for another of that name.
    sys.path[:] = [str(folder), *(each for each in sys.path if Path(each).resolve() not in inside)]
    name = ".".join(parts)
    if len(parts) > 1:
        return importlib.import_module(name)
    names = name, f"{name}_profiled"
    for known in names:
        if getattr(sys.modules.get(known), "__file__", None) == str(path):
            return sys.modules[known]
    name = names[name in sys.modules or name in sys.stdlib_module_names]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]  # as an import does: it is not loaded
        raise
    return module
