"""The library as its user meets it: arguments that are swapped, help, types, and the code in its documents."""

import os
import pydoc
import re
import subprocess
import sys
from pathlib import Path

import pytest

import jitnet
from jitnet.config import TrainConfig
from jitnet.errors import UsageError

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", "docs/library.md")

UNTYPED = ("pandas", "scipy")
"""What comes without types, and jitnet does without."""

DATA = jitnet.load("digits")
SHAPE = jitnet.ModelConfig(in_features=64, n_classes=10, hidden=(8,))
MODEL = jitnet.Model.create(SHAPE, DATA)

SWAPPED = [
    (lambda: jitnet.train(DATA, MODEL), "model is of type Dataset; expected Model; call train(model, dataset, config)"),
    (lambda: jitnet.train(MODEL, TrainConfig(), DATA), "dataset is of type TrainConfig; expected Dataset; call train("),
    (lambda: jitnet.train(MODEL, DATA, 10), "config is of type int; expected TrainConfig or None; call train("),
    (lambda: jitnet.Trainer(DATA, MODEL), "model is of type Dataset; expected Model; call Trainer(model, dataset, "),
    (
        lambda: jitnet.evaluate(DATA.test, MODEL),
        "model is of type Split; expected Model or Committee; call evaluate(model, data)",
    ),
    (lambda: jitnet.evaluate(MODEL, DATA.test.images), "data is of type ndarray; expected Dataset or Split; call eval"),
    (lambda: jitnet.Model.create(DATA, SHAPE), "config is of type Dataset; expected ModelConfig; call Model.create(c"),
    (lambda: jitnet.Model(DATA, [], []), "config is of type Dataset; expected ModelConfig; call Model(config, wei"),
    (lambda: jitnet.Model.load(DATA), "path is of type Dataset; expected str or Path; call Model.load(path)"),
    (
        lambda: jitnet.load(DATA),
        "name_or_path is of type Dataset; expected str, Path or None; call load(name_or_",
    ),
    (lambda: jitnet.describe(MODEL), "dataset is of type Model; expected Dataset; call describe(dataset)"),
    (lambda: jitnet.convert("a.npz", DATA), "dataset is of type str; expected Dataset; call convert(dataset, target)"),
    (
        lambda: jitnet.recognise("a.png", MODEL),
        "model is of type str; expected Model or Committee; call recognise(model, picture)",
    ),
]


@pytest.mark.parametrize(("call", "message"), SWAPPED, ids=[message.split("call ")[1] for _, message in SWAPPED])
def test_swapped_arguments_are_named(call, message):
    with pytest.raises(UsageError) as caught:
        call()
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: jitnet.Model.create(SHAPE, DATA, seed=-1), "seed: expected a whole number from 0 to 9,223,372,036,"),
        (lambda: jitnet.Model.create(SHAPE, DATA, seed=2**63), "seed: expected a whole number from 0 to 9,223,372,0"),
        (lambda: jitnet.Model.create(SHAPE, DATA, seed=0.5), "seed: expected a whole number from 0 to 9,223,372,036"),
        (lambda: MODEL.predict(DATA.test.images, threads=-1), "threads: expected a whole number from 0 to 1,024, fou"),
        (lambda: MODEL.predict(DATA.test.images, threads="a"), "threads: expected a whole number from 0 to 1,024, f"),
        (lambda: jitnet.train(MODEL, DATA, on_epoch=3), "on_epoch is of type int; expected a function or None"),
        (lambda: jitnet.train(MODEL, DATA, on_steps="a"), "on_steps is of type str; expected a function or None"),
        (lambda: jitnet.Trainer(MODEL, DATA).epochs([]), "on_steps is of type list; expected a function or None"),
        (lambda: TrainConfig(5), "TrainConfig: expected fields by name, as in TrainConfig(optimizer=...), found 5"),
    ],
)
def test_a_wrong_argument_is_named_before_anything_is_done(call, message):
    before = MODEL.weights
    with pytest.raises(UsageError) as caught:
        call()
    assert str(caught.value).startswith(message)
    assert all(weight is kept for weight, kept in zip(MODEL.weights, before, strict=True))


def test_help_of_train_describes_every_field():
    text = " ".join(pydoc.plain(pydoc.render_doc(jitnet.train)).split())
    assert "Train a model in place and return the run's `History`" in text
    for name, info in TrainConfig.model_fields.items():
        assert f" {name} {info.description}" in text
    assert "learning_rate Peak step size. A number above 0, up to 1,000. Default: 0.7 with sgd; 0.05 with mom" in text


def blocks(page: str) -> list[str]:
    """A page's blocks of Python, which together are a program."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_the_program_of_a_page_runs_and_prints_what_is_shown(page, tmp_path, monkeypatch, capsys):
    program = "\n".join(blocks(page))
    for name in UNTYPED:
        if f"import {name}" in program:
            pytest.importorskip(name, reason=f"the page shows {name}")
    monkeypatch.chdir(tmp_path)
    exec(compile(program, page, "exec"), {"__name__": "program"})
    printed = capsys.readouterr().out
    text = (ROOT / page).read_text(encoding="utf-8")
    for shown in re.findall(r"^```python\n[^`]*^```\n\n```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        assert shown in printed


def test_a_strict_type_checker_without_plugins_finds_nothing(tmp_path, pytestconfig):
    pytest.importorskip("mypy", reason="needs mypy")
    for page in PAGES:
        known = [block for block in blocks(page) if not any(f"import {name}" in block for name in UNTYPED)]
        (tmp_path / f"{Path(page).stem.lower()}_page.py").write_text("\n".join(known), encoding="utf-8")
    cache = pytestconfig.cache.mkdir("mypy-of-pages")
    options = ["--strict", "--config-file=", "--follow-imports=silent", f"--cache-dir={cache}"]
    files = map(str, sorted(tmp_path.glob("*.py")))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, *files],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
