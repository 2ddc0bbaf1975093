"""The house's plan, held by reading the source: who may import whom, and what a start loads."""

import ast
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import jitnet

PACKAGE = Path(jitnet.__file__).parent

# A room imports only from its own row or the rows above it, and never in a circle.
# The package itself, "", offers what all rooms have: only the last row may look at it.
ROWS = [
    ["errors", "version", "files", "config", "compiler"],
    ["machine"],
    ["kernels", "datasets", "tables"],
    ["engine"],
    ["model"],
    ["training", "pictures", "evaluation"],
    ["runs", "bench", "profile"],
    ["search"],
    ["render", "sklearn"],
    ["cli", "__main__", "", "notebook", "pytest_plugin"],
]

# Floors of a room, with the others of that room that each may import; "" is what is in the room itself.
FLOORS = {
    "profile": {"": set(), "users": {""}, "step": {""}, "code": {"", "users"}, "functions": {"", "users", "code"}}
}

# Folders whose modules run in a worker process, with those modules of the room that both sides import. From the rest of
# the room they are apart: the worker process runs with other settings, and its modules may not run in jitnet's own.
USERS = {
    f"jitnet.profile.users.{name}"
    for name in ("built_ufuncs", "callbacks", "compiled_classes", "generators", "sent_types")
}  # what both worker processes need
WORKERS = {
    "jitnet.profile.code.worker": {
        "jitnet.profile.ending",
        "jitnet.profile.line_table",
        "jitnet.profile.loading",
        "jitnet.profile.readable",
        *USERS,
    },
    "jitnet.profile.functions.worker": {
        "jitnet.profile.ending",
        "jitnet.profile.readable",
        "jitnet.profile.code.source",
        "jitnet.profile.functions.arguments",
        "jitnet.profile.functions.hints",
        "jitnet.profile.functions.thresholds",
        "jitnet.profile.functions.hint_shares",
        "jitnet.profile.functions.stages",
        "jitnet.profile.line_table",
        "jitnet.profile.loading",
        *USERS,
    },
}

# Libraries that only some rooms, floors or folders may know.
ONLY_IN = {
    "rich": {"render"},
    "typer": {"cli", "__main__"},
    "numba": {
        *("compiler", "engine", "kernels", "machine", "profile.code.worker", "profile.functions.worker"),
        *("profile.functions.sending", "profile.users"),
    },
    "llvmlite": {"compiler", "machine", "profile.code", "profile.functions.worker", "profile.users"},
    "PIL": {"pictures"},
    "sklearn": {"sklearn"},
    "joblib": {"sklearn"},
    "pyarrow": {"tables"},
    "matplotlib": {"render"},
    "tensorboardX": {"runs"},
    "optuna": {"search"},
    "distributed": {"search"},
    "dask": {"search"},
    "IPython": {"notebook"},
    "pytest": {"pytest_plugin"},
}


def room(module: str) -> str:
    """`jitnet.kernels.loss` -> `kernels`, and the package itself -> nothing."""
    return module.removeprefix("jitnet").removeprefix(".").split(".")[0]


def floor(module: str) -> str:
    """`jitnet.profile.code.look` -> `code`, and a module in the room itself -> nothing."""
    parts = module.split(".")
    return parts[2] if len(parts) > 2 and parts[2] in FLOORS[room(module)] else ""


def is_within(module: str, place: str) -> bool:
    return f"{module}.".startswith(f"{place}.")


def row(module: str) -> int:
    for number, rooms in enumerate(ROWS):
        if room(module) in rooms:
            return number
    raise AssertionError(f"{module} stands in no row: give it one in ROWS")


@cache
def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = ("jitnet", *path.relative_to(PACKAGE).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports(module: str, path: Path) -> set[str]:
    """Every module that a file names in an import, at the top or inside a function."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if module == "jitnet":  # its imports for the type checker alone are the library's table of contents
        tree.body = [node for node in tree.body if not isinstance(node, ast.If)]
    known = modules()
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write imports in full, from jitnet.…"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else str(node.module) for name in names}
    return found


HIDDEN = {"sys.modules", "sys.modules.get", "importlib.import_module", "import_module", "__import__"}


def hidden(module: str, path: Path) -> list[str]:
    """Where a file names a module of the package in a text, to look it up or to import it.

    A package may import its own modules so, for names that it offers and imports as each is asked for.
    """
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and node.args:
            what, name = node.func, node.args[0]
        elif isinstance(node, ast.Subscript):
            what, name = node.value, node.slice
        elif isinstance(node, ast.Compare):
            what, name = node.comparators[0], node.left
        else:
            continue
        first = name.values[0] if isinstance(name, ast.JoinedStr) and name.values else name
        text = first.value if isinstance(first, ast.Constant) else None
        if ast.unparse(what) in HIDDEN and isinstance(text, str) and is_within(text, "jitnet"):
            if text.startswith(f"{module}."):
                continue
            found.append(f"{path}:{node.lineno}: {ast.unparse(node)}")
    return found


def inside(module: str, path: Path) -> set[str]:
    return {name for name in imports(module, path) if name == "jitnet" or name.startswith("jitnet.")}


def test_imports_run_up_the_rows():
    wrong = [
        f"{module} (row {row(module)}) imports {target} (row {row(target)})"
        for module, path in modules().items()
        for target in inside(module, path)
        if row(target) > row(module)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("line", ["import jitnet", "from jitnet import __version__", "from jitnet import Model"])
def test_an_arrow_to_the_package_itself_is_seen(tmp_path, line):
    path = tmp_path / "network.py"
    path.write_text(f"def load():\n    {line}\n")
    assert inside("jitnet.model.network", path) == {"jitnet"}
    assert row("jitnet") > row("jitnet.bench")


def test_floors_import_only_what_they_may():
    wrong = [
        f"{module} imports {target}: {floor(module) or 'the room itself'} may not import {floor(target)}"
        for module, path in modules().items()
        for target in inside(module, path)
        if room(module) in FLOORS and room(target) == room(module) and floor(target) != floor(module)
        if floor(target) not in FLOORS[room(module)][floor(module)]
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("folder", WORKERS)
def test_a_worker_process_is_apart(folder):
    assert any(is_within(module, folder) for module in modules())
    wrong = []
    for module, path in modules().items():
        for target in inside(module, path):
            if is_within(target, folder) and not is_within(module, folder):
                wrong.append(f"{module} imports {target}, which runs in the worker process")
            same_room = room(target) == room(folder) and not is_within(target, folder)
            if is_within(module, folder) and same_room and target not in WORKERS[folder]:
                wrong.append(f"{module} runs in the worker process and imports {target}, which does not")
    assert not wrong, "\n".join(wrong)


def test_no_import_is_hidden_in_a_text():
    wrong = [line for module, path in modules().items() for line in hidden(module, path)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "line",
    [
        "sys.modules['jitnet.compiler.environment'].CORES",
        "getattr(sys.modules.get('jitnet.compiler.environment'), 'CORES', [])",
        "'jitnet.compiler' in sys.modules",
        "importlib.import_module('jitnet.bench')",
        "import_module(f'jitnet.{name}')",
    ],
)
def test_a_hidden_import_is_seen(tmp_path, line):
    path = tmp_path / "look.py"
    path.write_text(f"import sys\n\nprint({line})\n")
    assert len(hidden("jitnet.profile.code.look", path)) == 1


def test_imports_have_no_circle():
    graph = {module: inside(module, path) - {module} for module, path in modules().items()}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"imports in a circle: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("library", ONLY_IN)
def test_library_stays_in_its_rooms(library):
    wrong = [
        f"{module} imports {library}"
        for module, path in modules().items()
        for name in imports(module, path)
        if name.split(".")[0] == library and not any(is_within(module, f"jitnet.{place}") for place in ONLY_IN[library])
    ]
    assert not wrong, "\n".join(wrong)


def loaded_after(*arguments: str) -> set[str]:
    """Names of the modules that a fresh Python has loaded once it ran `arguments`."""
    listing = "import atexit, sys; atexit.register(lambda: print('\\n'.join(sys.modules)))"
    code = f"{listing}\nsys.argv = {['jitnet', *arguments]!r}\n" + (
        "import jitnet.cli; jitnet.cli.main()" if arguments else "import jitnet"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


@pytest.mark.parametrize("arguments", [(), ("--help",), ("train", "--help"), ("--version",)], ids=" ".join)
def test_a_light_start_loads_no_numbers(arguments):
    loaded = loaded_after(*arguments)
    assert "jitnet" in loaded
    assert not loaded & {"numba", "llvmlite", "numpy", "safetensors"}


def test_the_screen_is_there_before_numba_is():
    """Every error and every bar goes through this room, and data is read while Numba loads."""
    code = (
        "import sys; from jitnet.render import *; print(callable(step_profile), "
        "*(name for name in ('numba', 'llvmlite') if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"]


def test_import_alone_loads_nothing_else():
    loaded = loaded_after()
    assert {name for name in loaded if name.startswith("jitnet.")} <= {"jitnet.version"}
    assert not loaded & {"pydantic", "typer", "rich"}


def test_public_names():
    assert jitnet.__all__ == [
        "AugmentConfig",
        "CheckpointError",
        "Committee",
        "DataError",
        "Dataset",
        "DivergedError",
        "DownloadError",
        "EpochReport",
        "Evaluation",
        "FunctionProfile",
        "History",
        "JitnetError",
        "MissingExtra",
        "Model",
        "ModelConfig",
        "ModelError",
        "OutputError",
        "Picture",
        "PictureError",
        "Recognition",
        "Scaling",
        "Split",
        "StepReport",
        "TargetMissed",
        "TrainConfig",
        "Trainer",
        "UsageError",
        "__version__",
        "convert",
        "describe",
        "evaluate",
        "fetch",
        "from_arrays",
        "load",
        "load_model",
        "load_picture",
        "load_pictures",
        "normalise_picture",
        "profile",
        "recognise",
        "train",
    ]
    for name in jitnet.__all__:
        assert getattr(jitnet, name) is not None
    assert set(jitnet._HOME) | {"__version__"} == set(jitnet.__all__)


def test_no_module_has_the_name_of_what_its_package_offers():
    """Importing such a module would put it in the place of the function or class of that name."""
    known = modules()
    wrong = [
        f"{package} offers {name}, and has a module of that name"
        for package, path in known.items()
        if path.name == "__init__.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.ImportFrom, ast.FunctionDef, ast.ClassDef))
        for name in (
            [alias.asname or alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else [node.name]
        )
        if f"{package}.{name}" in known and not (isinstance(node, ast.ImportFrom) and node.module == package)
    ]
    assert not wrong, "\n".join(wrong)


SAME_NAMES = {"__init__", "__main__"}
"""What Python calls a package itself, and what it runs of one."""


def test_no_two_modules_have_one_name():
    """A name says what is in a module, wherever it is. Only what draws it (render), or is its command (cli), may share
    the name."""
    named: dict[str, list[str]] = {}
    for module, path in modules().items():
        if room(module) not in ("render", "cli") and path.stem not in SAME_NAMES:
            named.setdefault(path.stem, []).append(module)
    wrong = [f"{name}: {' and '.join(found)}" for name, found in named.items() if len(found) > 1]
    assert not wrong, "\n".join(wrong)


def test_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        jitnet.nonsense  # noqa: B018


def test_version_is_the_package_version():
    from importlib.metadata import PackageNotFoundError, version

    try:
        assert version("jitnet") == jitnet.__version__
    except PackageNotFoundError:
        pytest.skip("jitnet is not installed here, only on the path")
