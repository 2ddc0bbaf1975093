"""What `jitnet.files` promises of single files and folders, and that nothing is written past it."""

import ast
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from test_imports import WORKERS, is_within, modules, room

from jitnet.errors import OutputError
from jitnet.files import append, check_writable, create, make_folder, read_lines, remove, write_whole, writing

pytestmark = pytest.mark.small


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o640)
    with writing(path) as temporary:
        temporary.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert left_in(tmp_path) == ["file"]


def test_a_link_is_followed_and_stays(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_folder_replaces_an_empty_one_only(tmp_path):
    path = tmp_path / "folder"
    for full in (False, True):
        if full:
            with pytest.raises(IsADirectoryError), writing(path):
                pass
        else:
            path.mkdir()
            with writing(path) as temporary:
                make_folder(temporary, sync=False)
                with create(temporary / "file") as file:
                    file.write(b"content")
        assert (path / "file").read_bytes() == b"content"
        assert left_in(tmp_path) == ["folder"]


def test_what_is_no_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match="pipe: cannot be replaced: not a regular file"), writing(tmp_path / "pipe"):
        pass
    check_writable(tmp_path / "pipe")
    write_whole(Path(os.devnull), b"content")


def test_what_a_killed_process_left_is_removed(tmp_path):
    """By another process, which writes into the folder; what a running one writes now is left alone."""
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom jitnet.files import create, make_folder, writing\n"
        "with writing(Path(sys.argv[1]) / 'folder') as temporary:\n"
        "    make_folder(temporary, sync=False)\n"
        "    create(temporary / 'file').close()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert killed.returncode == -9
    with writing(tmp_path / "other") as running:
        running.write_bytes(b"content")
        assert left_in(tmp_path) == [running.name]
        subprocess.run([sys.executable, "-c", code.replace("os.kill", "id or os.kill"), str(tmp_path)], check=True)
        assert left_in(tmp_path) == [running.name, "folder"]


def test_lines_are_added_after_the_last_whole_one(tmp_path):
    path = tmp_path / "lines"
    append(path, b"first\n")
    for torn in (b"sec", b"\0\0\0\0", b"\0\0nd\n"):
        path.write_bytes(b"first\n" + torn)
        assert read_lines(path) == [b"first\n"]
        append(path, b"second\n")
        assert path.read_bytes() == b"first\nsecond\n"


def test_folders_are_made_with_those_above_them(tmp_path):
    made = make_folder(tmp_path / "a" / "b")
    assert made == [tmp_path / "a" / "b", tmp_path / "a"]
    assert make_folder(tmp_path / "a" / "b") == []
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "a", exist_ok=False)
    for folder in made:
        remove(folder)
        remove(folder)
    assert left_in(tmp_path) == []
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises((FileExistsError, NotADirectoryError)):
            make_folder(path)
    assert left_in(tmp_path) == ["file"]


def test_a_folder_that_is_not_empty_is_not_removed(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").touch()
    with pytest.raises(OSError, match="not empty"):
        remove(tmp_path / "a")
    assert (tmp_path / "a" / "file").exists()


# Nothing in the package writes a file past these.

PRIVATE = {
    "jitnet.profile.code.compiling": "what it and its worker process say to each other is in the folder of `look`",
    "jitnet.profile.code.look": "that folder goes with the process",
    "jitnet.profile.code.analysers": "another program reads its input from a folder that goes with the call",
    "jitnet.profile.functions.library": "a call that is sent to a worker process is in a folder that goes with it",
    "jitnet.profile.functions.sending": "what is in that folder",
    "jitnet.profile.functions.worker_process": "what a worker process prints is in a file without a name",
    "jitnet.runs.listing": "what it opens it only reads, and does not wait for a pipe",
    "jitnet.search.dask_task": "a run is trained in a folder that goes with its task",
    "jitnet.tables.opening": "a pipe is read from a copy without a name",
}
"""Modules that write what no other run of the program reads, or only read, and why; and all in WORKERS."""

METHODS = {"chmod", "hardlink_to", "mkdir", "rename", "rmdir", "symlink_to", "touch", "unlink", "write_bytes",
           "write_text", "tofile"}  # fmt: skip
FUNCTIONS = {
    *(f"os.{name}" for name in ("makedirs", "open", "remove", "removedirs", "renames", "replace", "symlink", "link")),
    *(f"shutil.{name}" for name in ("copy", "copy2", "copyfile", "copytree", "move", "rmtree")),
    *(f"np.{name}" for name in ("save", "savetxt")),
    "save_file",
}


def writes(tree: ast.AST) -> list[str]:
    """Where a module changes files by itself: the line, and the call."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function, attribute = ast.unparse(node.func), getattr(node.func, "attr", "")
        arguments = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg == "mode")]
        texts = [each.value for each in arguments if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        opens = function in ("open", "np.memmap", "zipfile.ZipFile") or attribute in ("open", "fdopen")
        opens = opens and any(text.strip("bt") in ("w", "a", "x", "r+", "w+", "a+", "x+") for text in texts)
        # A path's replace has one argument, a text's two, and a record's are named.
        renames = attribute == "replace" and len(node.args) == 1 and not node.keywords
        nowhere = any(ast.unparse(argument) == "os.devnull" for argument in node.args)
        known = attribute in METHODS or function in FUNCTIONS or function.startswith("tempfile.")
        if (opens or renames or known) and not nowhere:
            found.append(f"{node.lineno}: {ast.unparse(node)}")
    return found


def is_private(module: str) -> bool:
    return module in PRIVATE or any(is_within(module, folder) for folder in WORKERS)


def test_nothing_is_written_past_the_module_for_it():
    found = {module: writes(ast.parse(path.read_text(encoding="utf-8"))) for module, path in modules().items()}
    wrong = [
        f"{module}:{line}"
        for module in found
        if room(module) != "files" and not is_private(module)
        for line in found[module]
    ]
    assert not wrong, "write through jitnet.files:\n" + "\n".join(wrong)
    assert all(found[module] for module in PRIVATE), "a line of PRIVATE is no longer needed"


@pytest.mark.parametrize(
    "line",
    [
        "open(path, 'w')",
        "open(path, mode='ab')",
        "path.open('r+b')",
        "path.write_text(text)",
        "temporary.replace(path)",
        "os.open(path, flags)",
        "tempfile.mkdtemp()",
        "np.memmap(path, np.uint8, 'w+')",
        "(folder / name).unlink(missing_ok=True)",
    ],
)
def test_a_write_is_seen(line):
    assert len(writes(ast.parse(f"def f():\n    return {line}\n"))) == 1


@pytest.mark.parametrize(
    "line", ["open(path)", "path.open('rb')", "'a'.replace('a', 'b')", "os.open(os.devnull, os.O_RDWR)", "print('w')"]
)
def test_no_write_is_seen_where_there_is_none(line):
    assert writes(ast.parse(line)) == []
