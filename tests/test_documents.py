"""README.md and docs/: links lead somewhere, commands exist, every option of training is told, quoted code is the
code."""

import importlib
import re
import shlex
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import typer

import jitnet
from jitnet.cli import app
from jitnet.config import ACTIVATIONS, OPTIMIZERS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "data" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMES = [str(path.relative_to(ROOT)) for path in PAGES]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
ENDS_A_COMMAND = {">", "|", "&&", ";"}


@pytest.fixture(params=PAGES, ids=NAMES)
def page(request: pytest.FixtureRequest) -> Path:
    return request.param


def prose(path: Path) -> str:
    """A page without its blocks of code."""
    return FENCE.sub("", path.read_text(encoding="utf-8"))


def blocks(path: Path, kind: str = "") -> list[str]:
    """Its blocks of code of one kind; without a kind those of a terminal."""
    return [text for found, text in FENCE.findall(path.read_text(encoding="utf-8")) if found == kind]


def anchors(path: Path) -> set[str]:
    """The places in a page that a link can name, made of its headings as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def command_lines(path: Path, program: str) -> Iterator[list[str]]:
    """The words after `program` of each line in a terminal's block that calls it, without comment and redirection."""
    for line in "\n".join(blocks(path)).splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True) if program in line else []
        if words[:1] == [program]:
            yield list(takewhile(lambda word: word not in ENDS_A_COMMAND, words[1:]))


def resolve(words: list[str]) -> tuple[Any, str, list[str]]:
    """The command that the words name, through its groups; its name, and the words that are left for it."""
    command, name = typer.main.get_command(app), "jitnet"
    while hasattr(command, "resolve_command"):
        name, command, words = command.resolve_command(command.context_class(command, info_name=name), words)
    return command, name, words


def test_readme_stays_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 250


def test_links_lead_to_files_and_headings(page):
    broken = []
    for target in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        if not file.exists():
            broken.append(f"{target}: there is no {file}")
        elif anchor and anchor not in anchors(file):
            broken.append(f"{target}: {file.name} has no such heading")
    assert not broken, "\n".join(broken)


def undefined(path: Path) -> list[str]:
    """Links of a page that name a function, class or constant which the file that they lead to does not define."""
    found = []
    for name, target in re.findall(r"\[`(\w+)`\]\((\S+\.py)\)", prose(path)):
        source = (path.parent / target).read_text(encoding="utf-8")
        if not re.search(rf"^\s*(?:def|class) {name}\b|^{name}\b.*=", source, re.MULTILINE):
            found.append(f"{name}: not in {target}")
    return found


def test_links_to_functions_lead_to_their_files(page):
    assert not undefined(page)


def misquoted(path: Path) -> list[str]:
    """Lines of a page's Python that name a file in a comment above them and do not stand there, in this order."""
    found = []
    for source in blocks(path, "python"):
        if named := re.match(r"# (jitnet/\S+\.py)\n", source):
            lines = map(str.strip, (ROOT / named[1]).read_text(encoding="utf-8").splitlines())
            quoted = map(str.strip, source.splitlines()[1:])
            found += [line for line in quoted if line not in ("", "...") and line not in lines]
    return found


def test_quoted_code_is_the_code(page):
    assert not misquoted(page)


def test_what_is_not_the_code_any_more_is_noticed(tmp_path):
    (tmp_path / "code.py").write_text("def walk():\n    pass\n\n\nLEAST = 1\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[`walk`](code.py) [`LEAST`](code.py) [`least`](code.py) [code](code.py)\n"
        "```python\n# jitnet/engine/loop.py\n"
        "_run_at = reference_to(RUN)\n...\nreturn n_steps\nclass Loop:\n    pass\n```\n"
    )
    assert undefined(page) == ["least: not in code.py"]
    assert misquoted(page) == ["class Loop:", "pass"]


def test_the_tours_example_runs(capsys):
    (example,) = [text for text in blocks(ROOT / "docs" / "tour.md", "python") if text.startswith("import numpy")]
    exec(compile(example, "tour.md", "exec"), {})
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [name for name, _ in shown] == ["forward", "matmul"]
    assert all(0.0 < float(off) < 1e-3 for _, off in shown)


def test_every_page_is_linked_from_readme():
    linked = {target.partition("#")[0] for target in LINK.findall(prose(ROOT / "README.md"))}
    assert {name for name in NAMES if name.startswith("docs/")} <= linked


def misunderstood(path: Path) -> dict[str, str]:
    """Each line of a page that the command line would refuse, and what it would say. Nothing is run."""
    found = {}
    for words in command_lines(path, "jitnet"):
        try:
            command, name, rest = resolve(words)
            command.make_context(name, rest)
        except typer.TyperException as error:
            found[shlex.join(words)] = error.format_message()
    return found


def test_commands_are_understood(page):
    assert not misunderstood(page)


def test_a_command_that_is_not_understood_is_noticed(tmp_path):
    page = tmp_path / "page.md"
    lines = ["$ jitnet train --lr 0.1  # fine", "jitnet trian", "jitnet data info", "jitnet eval run --fast > out.json"]
    page.write_text("```\n" + "\n".join([*lines, "what it shows isn't read"]) + "\n```\n")
    assert set(misunderstood(page)) == {"trian", "data info", "eval run --fast"}


def test_make_knows_its_targets(page):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {words[0] for words in command_lines(page, "make")} <= targets


def test_programs_and_options_named_in_the_text_exist(page):
    quoted = "\n".join(re.findall(r"`([^`]+)`", prose(page)))
    missing = [name for name in re.findall(r"\b(?:benchmarks|scripts)/\w+\.py", quoted) if not (ROOT / name).exists()]
    sources = [
        path.read_text(encoding="utf-8") for room in ("benchmarks", "scripts") for path in (ROOT / room).glob("*.py")
    ]
    known = set(re.findall(r'add_argument\(\s*"(--[\w-]+)"', "\n".join(sources)))
    commands = [
        [name]
        for name in (
            "train",
            "eval",
            "predict",
            "runs",
            "compare",
            "plot",
            "sweep",
            "cv",
            "committee",
            "bench",
            "profile",
        )
    ]
    for words in [*commands, *(["data", name] for name in data_commands())]:
        known |= {option for parameter in resolve(words)[0].params for option in parameter.opts}
    known |= set(re.findall(r'addoption\(\s*"(--[\w-]+)"', (ROOT / "jitnet" / "pytest_plugin.py").read_text()))
    known |= {"--help", "--version", "--install-completion"}
    missing += sorted(set(re.findall(r"(?<![\w-])--[a-z][\w-]*", quoted)) - known)
    assert not missing


def data_commands() -> list[str]:
    root = typer.main.get_command(app)
    return list(root.resolve_command(root.context_class(root, info_name="jitnet"), ["data"])[1].commands)


def test_every_option_of_train_is_told():
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    told = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", text))
    options = [parameter.opts for parameter in resolve(["train"])[0].params]
    assert not [names for names in options if not told & set(names)]


def test_what_profile_does_not_take_of_train_is_told():
    train, profile = ({p.opts[0] for p in resolve([name])[0].params} for name in ("train", "profile"))
    text = " ".join((ROOT / "docs" / "profile.md").read_text(encoding="utf-8").split())
    (told,) = re.findall(r"which are all except (.*?)\. ", text)
    assert set(re.findall(r"--[\w-]+", told)) == train - profile


def test_every_activation_and_every_optimizer_is_told():
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    assert {*ACTIVATIONS, *OPTIMIZERS} <= set(re.findall(r"^\| `(\w+)`", text, re.MULTILINE))


def test_python_is_python_and_the_library_has_its_names(page):
    for source in blocks(page, "python"):
        compile(source, str(page), "exec")
        imports = re.compile(r"^from (jitnet[\w.]*) import (.+)$", re.MULTILINE)
        for module, names in imports.findall(source):
            for name in names.split(", "):
                assert hasattr(importlib.import_module(module), name) or importlib.import_module(f"{module}.{name}")
        assert set(re.findall(r"\bjitnet\.([A-Za-z]\w*)", imports.sub("", source))) <= set(jitnet.__all__)


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> Any:
    pytest.importorskip("pty", reason="a terminal of one's own is a thing of Unix")
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("printed")


def test_marks_of_printed_blocks_stand_above_a_command(page, printed):
    text = page.read_text(encoding="utf-8")
    assert len(printed.MARK.findall(text)) == text.count("<!-- printed")


def test_printed_blocks_are_renewed_and_cut(printed):
    page = "a\n<!-- printed: [:1] [2:-1] -->\n```\n$ jitnet eval x\nold\n```\nb\n```\n$ jitnet train\nkept\n```\n"
    asked = []
    renewed = printed.update(page, lambda arguments: asked.append(arguments) or ["1", "2", "3", "4"])
    assert asked == ["eval x"]
    assert renewed == page.replace("old", "1\n…\n3\n…")
    assert printed.cut(["1", "2"], "") == ["1", "2"]
    assert printed.cut(["1", "2", "3"], "[1:]") == ["…", "2", "3"]


def test_no_page_names_a_place_on_one_machine(page):
    text = page.read_text(encoding="utf-8")
    assert not re.findall(r"(?<![\w.])(?:/(?:home|root|tmp|work|Users|mnt|opt|usr)/|[A-Z]:\\)\S*", text)
