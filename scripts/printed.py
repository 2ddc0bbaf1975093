"""Update what the documents show of the command line, in README.md and docs/: python scripts/printed.py

A mark above a block of code whose first line is a command says which lines of its output are shown:

    <!-- printed -->                 all of them
    <!-- printed: [:12] [-4:] -->    slices, as Python writes them; … replaces lines that are left out

The commands run one after another in a new folder, on a plain terminal of 80 columns: README.md first, then the pages
in docs/ by name. A run folder has the day of its training in its name, so all pages name today's. `seven.png` is the
first test image of MNIST; writing it needs pillow.
"""

import os
import pty
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

MARK = re.compile(r"^(<!-- printed([^\n]*?) -->\n```\n\$ jitnet ([^\n]*)\n).*?^(```)$", re.MULTILINE | re.DOTALL)
SLICE = re.compile(r"\[(-?\d*):(-?\d*)\]")
RUN_FOLDER = re.compile(r"\bruns/\d{4}-\d\d-\d\d-")


def update(page: str, run: Callable[[str], Sequence[str]]) -> str:
    """A page with the lines of output that `run` returns for each marked command's arguments."""

    def block(found: re.Match[str]) -> str:
        return "\n".join([found[1].rstrip(), *cut(run(found[3]), found[2]), found[4]])

    return MARK.sub(block, page)


def cut(lines: Sequence[str], slices: str) -> list[str]:
    """The lines that the slices name, all where there are none, with … where some are left out."""
    shown, end = list[str](), 0
    for bounds in SLICE.findall(slices) or [("", "")]:
        start, stop, _ = slice(*(int(bound) if bound else None for bound in bounds)).indices(len(lines))
        shown += [*(["…"] if start > end else []), *lines[start:stop]]
        end = stop
    return [*shown, *(["…"] if end < len(lines) else [])]


def run_in(folder: Path) -> Callable[[str], list[str]]:
    """A function that runs the command line in a folder, and returns the lines that it wrote to its terminal."""
    unset = ("FORCE_COLOR", "NO_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment |= {"TERM": "dumb", "COLUMNS": "80", "LINES": "25"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [environment.get("PYTHONPATH")])])
    if "JITNET_DATA" in environment:
        environment["JITNET_DATA"] = os.path.abspath(environment["JITNET_DATA"])

    def run(arguments: str) -> list[str]:
        reading, writing = pty.openpty()
        command = [sys.executable, "-m", "jitnet", *shlex.split(arguments)]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=writing, stderr=writing, cwd=folder, env=environment
        )
        os.close(writing)
        written = b""
        try:
            while piece := os.read(reading, 65536):
                written += piece
        except OSError:  # the other end was closed
            pass
        os.close(reading)
        if code := process.wait():
            sys.exit(f"jitnet {arguments}: ended with {code}\n{written.decode()}")
        return [line.rstrip() for line in written.decode().strip("\r\n").splitlines()]

    return run


def main() -> None:
    """Run every marked command, and write the pages that change."""
    from PIL import Image

    import jitnet

    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        for command in ("train --epochs 1", "profile"):  # compiles, and downloads the data: neither should be shown
            run_in(Path(first))(command)
        folder = Path(second)
        test = jitnet.load("mnist").test_or_train
        Image.fromarray(test.images[0].reshape(28, 28)).save(folder / "seven.png")
        for path in PAGES:
            page = path.read_text(encoding="utf-8")
            updated = update(RUN_FOLDER.sub(f"runs/{date.today().isoformat()}-", page), run_in(folder))
            if updated != page:
                path.write_text(updated, encoding="utf-8")
                print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
