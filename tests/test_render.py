"""What the commands show: the lines that matter, nothing over the width, no control codes without a terminal."""

import io
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import fake_records as fake
import numba
import numpy as np
import pytest
from rich.console import Console

from jitnet import render
from jitnet.config import ModelConfig
from jitnet.evaluation import Deviation, Evaluation, TargetScore
from jitnet.render.drawing import _fit
from jitnet.render.tables import same_decimals

CODE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Screen:
    """A console of one width that keeps what it was given; `lines` are without colours."""

    def __init__(self, width: int | None = 80, *, terminal: bool = True, colour: bool = True, ascii_only: bool = False):
        raw = io.BytesIO()
        self.file = io.TextIOWrapper(
            raw, encoding="ascii" if ascii_only else "utf-8", errors="replace", write_through=True
        )
        self.raw = raw
        self.width = width
        self.console = render.make_console(self.file, terminal=terminal, width=width, colour=colour)

    @property
    def text(self) -> str:
        return self.raw.getvalue().decode()

    @property
    def lines(self) -> list[str]:
        return CODE.sub("", self.text).splitlines()

    def check_width(self) -> None:
        wide = [line for line in self.lines if len(line) > self.width]
        assert not wide, "\n".join(wide)

    def consoles(self) -> render.Consoles:
        return render.Consoles(self.console, self.console, self.console)


def find(screen: Screen, pattern: str) -> str:
    for line in screen.lines:
        if re.search(pattern, line):
            return line
    raise AssertionError(f"no line has {pattern!r} in\n" + "\n".join(screen.lines))


def show_everything(screen: Screen) -> None:
    console = screen.console
    render.notice(console, "MNIST is not here and could not be had: " + "no mirror answered; " * 6 + "try again")
    render.plan(console, fake.plan())
    render.network(console, ModelConfig(in_features=784, n_classes=10, hidden=(1024, 256)))
    render.evaluation(console, fake.evaluation(), fake.images(), (28, 28))
    render.evaluation(console, fake.evaluation(fake.FASHION, 0))
    render.evaluation(console, fake.numbers_evaluation(), fake.images(), (28, 28))
    render.evaluation(console, fake.evaluation(tuple(f"class number {i}" for i in range(30)), 0))
    render.prediction(console, fake.recognition())
    render.description(console, fake.description())
    render.description(console, fake.description(fake.FASHION, None))
    render.listing(console, fake.listing())
    render.plot(console, [0, 1, 2, 3], [0.0, 0.1, 0.05, 0.0], title="Learning rate", x_label="epoch")
    render.table(console, ["kernel", "µs", "share of the roof"], [["linear forward", 41.25, "94%"]] * 3)
    train(screen)


def train(screen: Screen, n_epochs: int = 3, **fields: object) -> None:
    with render.TrainingView(screen.consoles(), n_epochs) as view:
        view._drawn_s = 0.0
        for number in range(1, n_epochs + 1):
            view.step(fake.step(900, number, n_epochs))
            view.epoch(fake.epoch(number, n_epochs, **fields))
    view.summary(
        model=Path("runs/2026-03-14-mnist/model.safetensors"), suggestions=["jitnet eval runs/2026-03-14-mnist"]
    )


# Streams


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("colour", [True, False], ids=["colour", "plain"])
def test_nothing_is_wider_than_the_terminal(width, colour):
    screen = Screen(width, colour=colour)
    show_everything(screen)
    screen.check_width()
    assert ("\x1b[3" in screen.text) == colour


@pytest.mark.parametrize("ascii_only", [False, True], ids=["utf-8", "ascii"])
def test_a_pipe_gets_plain_whole_lines(ascii_only):
    screen = Screen(None, terminal=False, ascii_only=ascii_only)
    show_everything(screen)
    assert "\x1b" not in screen.text
    assert "\r" not in screen.text
    assert "━" not in screen.text
    assert not [line for line in screen.lines if line.endswith(" ")]
    assert find(screen, "^! MNIST is not here").endswith("try again")
    assert re.search(r"OpenMP threading layer", find(screen, "^machine"))


def test_no_color_is_honoured(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    screen = Screen(80)
    show_everything(screen)
    assert not re.search(r"\x1b\[[0-9;]*(3[0-9]|4[0-9]|9[0-9])[0-9;]*m", screen.text)
    assert "▀" not in screen.text, "pictures are made of characters then"
    assert find(screen, r"@@")


def run(code: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    import os

    return subprocess.run(
        [sys.executable, "-c", f"from jitnet import render\n{code}"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": "utf-8"},
        check=True,
    )


SAY = """
c = render.consoles(json={json}, quiet={quiet})
c.out.print('result'); c.info.print('epoch'); render.notice(c.err, 'notice'); render.error('bad')
"""


@pytest.mark.parametrize(
    ("json", "quiet", "out", "err"),
    [
        (False, False, ["result", "epoch"], ["! notice", "jitnet: error: bad"]),
        (True, False, [], ["result", "epoch", "! notice", "jitnet: error: bad"]),
        (False, True, ["result"], ["jitnet: error: bad"]),
        (True, True, [], ["jitnet: error: bad"]),
    ],
)
def test_streams(json, quiet, out, err):
    result = run(SAY.format(json=json, quiet=quiet))
    assert [line.rstrip() for line in result.stdout.splitlines()] == out
    assert [line.rstrip() for line in result.stderr.splitlines()] == err


def test_a_stream_without_the_characters():
    result = run("c = render.consoles(); c.out.print('→ fine'); render.error('é')", PYTHONIOENCODING="ascii")
    assert "fine" in result.stdout


def test_error_is_one_literal_line(capsys):
    render.error("a[bold]b[/bold].npz :smile:\n is " + "very " * 40 + "bad [0, 1]")
    text = capsys.readouterr().err
    assert text == "jitnet: error: a[bold]b[/bold].npz :smile: is " + "very " * 40 + "bad [0, 1]\n"


def test_text_is_literal():
    screen = Screen()
    screen.console.print("[bold]x[/bold] :smile:")
    assert screen.lines == ["[bold]x[/bold] :smile:"]


def test_error_is_red_on_a_terminal():
    screen = Screen(40)
    render.error("too long for this narrow terminal, by far", screen.console)
    assert screen.text.startswith("\x1b[1;31mjitnet: error: ")
    assert screen.lines == ["jitnet: error: too long for this narrow terminal, by far"]


def test_names_with_brackets_stay():
    console = Console(file=io.StringIO(), width=100)  # as a caller's own console is: with markup on
    render.prediction(console, fake.recognition())
    render.table(console, ["[red]a"], [["[bold]x[/bold]"]])
    render.facts(console, [("at", "[dim]y")])
    shown = console.file.getvalue()
    assert all(name in shown for name in ("ring [bold].png", "[red]a", "[bold]x[/bold]", "[dim]y"))


# Machine and network


def test_machine_and_network():
    screen = Screen(120)
    render.plan(screen.console, fake.plan())
    render.network(screen.console, ModelConfig(in_features=784, n_classes=10, hidden=(128,), activation="gelu"))
    assert "512-bit vectors, OpenMP threading layer" in find(screen, "^machine")
    assert "2 (2 cores by affinity" in find(screen, "^threads")
    assert "zero-skipping loops (19.1%" in find(screen, "^inputs")
    assert re.search(r"784 → 128 +gelu +100,480", find(screen, "784 →"))
    assert re.search(r"128 → 10 +softmax +1,290", find(screen, "128 → 10"))
    assert find(screen, "^network").split() == ["network", "101,770"]


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"n_train": 60_000, "n_test": 10_000}, "60,000 samples to train on, 10,000 to test"),
        (
            {"n_train": 54_000, "n_held_out": 6_000, "n_test": 10_000},
            "54,000 samples to train on, 6,000 held out, 10,000 to test",
        ),
        ({"n_train": 90, "n_held_out": 10}, "90 samples to train on, 10 held out, none to test"),
    ],
)
def test_data_that_are_trained_on(counts, said):
    screen = Screen(120)
    render.plan(screen.console, fake.plan(), data="my[0] set", **counts)
    assert screen.lines[0].rstrip() == f"data     my[0] set: {said}"
    assert screen.lines[1].startswith("machine  ")


def test_network_without_output_bias():
    screen = Screen()
    config = ModelConfig(in_features=784, n_classes=10, hidden=(512,), output_bias=False)
    render.network(screen.console, config)
    assert find(screen, "512 → 10").split()[-1] == "5,120"
    assert find(screen, "^network").split()[-1] == f"{config.n_parameters:,}"


# Training


def test_training_on_a_terminal():
    screen = Screen(80)
    train(screen)
    assert find(screen, "epoch +loss").split() == ["epoch", "loss", "train", "test", "seconds", "samples/s", "rate"]
    rows = [line for line in screen.lines if re.match(r" +\d/3 ", line)]
    assert [row.split()[:4] for row in rows] == [
        ["1/3", "0.6000", "85.00%", "88.00%"],
        ["2/3", "0.3000", "92.50%", "94.00%"],
        ["3/3", "0.2000", "95.00%", "90.00%"],
    ]
    assert len({len(row) for row in rows} | {len(find(screen, "epoch +loss"))}) == 1, "the columns are aligned"
    assert find(screen, "━").split()[:2] == ["epoch", "1/3"]
    assert "94.00% in epoch 2" in find(screen, "^best test accuracy")
    assert "90.00%" in find(screen, "^last test accuracy")
    assert "0.94 s for 3 epochs" in find(screen, "^training")
    assert "runs/2026-03-14-mnist/model.safetensors" in find(screen, "^model")
    assert find(screen, "jitnet eval runs/2026-03-14-mnist")
    assert screen.text.count("\x1b[?25l") == screen.text.count("\x1b[?25h"), "the cursor is shown again"


@pytest.mark.parametrize("rate", [0.0002801, 6.931e-05])
def test_columns_of_epochs_are_apart(rate):
    screen = Screen(80)
    with render.TrainingView(screen.consoles(), 3, rate) as view:
        view.epoch(replace(fake.epoch(1, 3), learning_rate=rate, val_accuracy=0.9, val_loss=0.3))
    (row,) = [line for line in screen.lines if re.match(r" +1/3 ", line)]
    assert len(re.split(r"\s{2,}", row.strip())) == 8, row
    screen.check_width()


def test_training_in_a_pipe():
    screen = Screen(None, terminal=False)
    train(screen, 12)
    rows = [line for line in screen.lines if line.startswith("epoch")]
    assert len(rows) == 12
    assert rows[0] == "epoch  1/12  loss 0.6000  train 85.00%  test 88.00%  0.31 s  192,308 samples/s  rate 0.1"


def train_for(times_s: list[float], screen: Screen) -> list[list[str]]:
    """Shows a training whose epochs took so long; the words of its header and of its rows."""
    with render.TrainingView(screen.consoles(), len(times_s)) as view:
        for number, seconds in enumerate(times_s, 1):
            view.epoch(fake.epoch(number, len(times_s), seconds=seconds))
    view.summary()
    return [line.split() for line in screen.lines if re.match(r" *epoch|\s+\d/\d ", line)]


@pytest.mark.parametrize(
    ("times_s", "unit", "shown", "together"),
    [
        ([0.00214, 0.0019, 0.1234], "milliseconds", ["2.1", "1.9", "123.4"], "0.13 s"),
        ([0.00214, 0.0195, 0.00004], "milliseconds", ["2.1", "19.5", "<0.1"], "22 ms"),
        ([0.00071, 0.0007, 0.0007], "milliseconds", ["0.7", "0.7", "0.7"], "2.1 ms"),
        ([0.000_031, 0.000_03, 0.000_03], "microseconds", ["31", "30", "30"], "91 µs"),
        ([0.0994, 0.1, 0.12], "milliseconds", ["99.4", "100.0", "120.0"], "0.32 s"),
        ([0.0996, 0.1, 0.003], "seconds", ["0.10", "0.10", "<0.01"], "0.20 s"),
        ([12.345, 11.0, 11.004], "seconds", ["12.35", "11.00", "11.00"], "34.35 s"),
    ],
)
def test_times_are_readable_however_short(times_s, unit, shown, together):
    screen, pipe = Screen(80), Screen(None, terminal=False)
    header, *rows = train_for(times_s, screen)
    screen.check_width()
    assert header[4] == unit
    assert [row[4] for row in rows] == shown
    assert len({len(line) for line in screen.lines if re.match(r" *epoch|\s+\d/\d ", line)}) == 1, "aligned"
    assert f"{together} for 3 epochs" in find(screen, "^training")
    train_for(times_s, pipe)
    lines = [line for line in pipe.lines if line.startswith("epoch")]
    symbol = {"seconds": "s", "milliseconds": "ms", "microseconds": "µs"}[unit]
    assert [re.search(r"  (\S+ \S+)  [\d,]+ samples/s", line)[1] for line in lines] == [f"{n} {symbol}" for n in shown]


def test_microseconds_where_there_is_no_greek_letter():
    screen = Screen(80, ascii_only=True)
    train_for([0.000_031] * 2, screen)
    assert "62 us for 2 epochs" in find(screen, "^training")


def test_training_with_held_out_data():
    screen = Screen(100)
    train(screen, 3, val_accuracy=0.93, test_accuracy=None)
    assert "validation" in find(screen, "epoch +loss")
    assert " test " not in find(screen, "epoch +loss")
    assert "93.00% in epoch 1" in find(screen, "^best validation accuracy")


def test_training_without_any_test_data():
    screen = Screen()
    train(screen, 2, test_accuracy=None)
    assert "best" not in "".join(screen.lines)
    assert find(screen, "^training")


def test_the_bar_goes_away_when_training_is_broken_off():
    screen = Screen()
    view = render.TrainingView(screen.consoles(), 10)
    with view:
        view._drawn_s = 0.0
        view.step(fake.step(10))
        assert "\x1b[?25l" in screen.text
    assert screen.text.count("\x1b[?25l") == screen.text.count("\x1b[?25h")
    view.summary(outcome="stopped by Ctrl-C; the model so far is kept")
    assert "stopped by Ctrl-C" in find(screen, "^ended")


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_compiling():
    screen, pipe = Screen(), Screen(None, terminal=False)
    for one in (screen, pipe):
        with render.compiling(one.consoles(), "two loops"):
            for _ in range(2):
                numba.njit(lambda x: x + 1)(1)
    assert [re.sub(r"[\d.]+ s", "0 s", line) for line in pipe.lines] == [
        "Compiling two loops for this processor; this happens once …",
        "Compiled two loops in 0 s; later starts load them.",
    ]
    assert find(screen, "Compiling .* happens once")
    assert screen.text.count("\x1b[?25l") == screen.text.count("\x1b[?25h") == 1


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_loops_that_cannot_be_cached_are_reported_also_where_it_is_quiet(monkeypatch, capsys):
    from jitnet.compiler import cache
    from jitnet.compiler.decorators import kernel

    monkeypatch.setattr(cache, "_write_error", "/cache: Read-only file system")
    monkeypatch.setattr(cache, "_not_stored", False)
    pipe = Screen(None, terminal=False)
    for consoles in (pipe.consoles(), render.consoles(quiet=True), render.consoles(json=True, quiet=True)):
        with render.compiling(consoles, "two loops"):
            kernel(lambda x: x + 1)(1)
        shown = capsys.readouterr()
        assert shown.out == ""
        (line,) = shown.err.splitlines()
        assert line.startswith("! /cache: Read-only file system: compiled loops cannot be cached here")
        assert "JITNET_CACHE" in line
    assert pipe.lines[0] == "Compiling two loops for this processor …"
    assert "later" not in pipe.text


def test_nothing_is_said_where_nothing_is_compiled():
    screen = Screen()
    with render.compiling(screen.consoles()):
        pass
    assert not screen.text


def test_downloads():
    screen, pipe = Screen(), Screen(None, terminal=False)
    for one in (screen, pipe):
        with render.downloads(one.consoles()) as progress:
            for done in (0, 4_000_000, 9_912_422, 9_912_422):
                progress("train-images[1].gz", done, 9_912_422)
            progress("labels", 10, None)
    assert pipe.lines == ["train-images[1].gz: 9.9 MB", "train-images[1].gz: done", "labels"]
    assert find(screen, r"train-images\[1\]\.gz .*MB")
    screen.check_width()


@pytest.mark.parametrize("width", [40, 80, 120])
def test_rows_are_counted_in_a_bar_on_a_terminal(width):
    screen, pipe = Screen(width), Screen(None, terminal=False)
    for one in (screen, pipe):
        with render.counting(one.consoles(), "predicting", 2_000_000, "rows") as count:
            for _ in range(4):
                count(500_000)
    assert pipe.lines == []
    assert find(screen, r"predicting .*2,000,000/2,000,000 rows")
    screen.check_width()


# Pictures


def test_a_picture_in_greys():
    screen = Screen(80)
    image = np.array([[0, 255] * 20, [255, 255] * 20], np.uint8)
    render.picture(screen.console, image)
    assert screen.lines == ["▀ " * 20]
    assert "\x1b[38;5;16;48;5;231m▀" in screen.text, "black above, white below"


@pytest.mark.parametrize("term", ["xterm", "screen", "linux"])
def test_a_picture_in_the_four_greys_of_sixteen_colours(monkeypatch, term):
    monkeypatch.setenv("TERM", term)
    screen = Screen(80)
    render.picture(screen.console, np.array([[0, 90, 200, 255] * 10, [255, 200, 90, 0] * 10], np.uint8))
    assert screen.lines == ["▀" * 40]
    pairs = ["\x1b[30;107m▀", "\x1b[90;47m▀", "\x1b[37;100m▀", "\x1b[97;40m▀"]
    assert "".join(f"{pair}\x1b[0m" for pair in pairs * 10) in screen.text
    flat = Screen(80)
    render.picture(flat.console, np.repeat(np.array([[10, 140, 240]], np.uint8), 20, axis=1).repeat(2, axis=0))
    assert re.findall(r"\x1b\[\d+;(\d+)m ", flat.text) == ["40"] * 20 + ["100"] * 20 + ["107"] * 20


def test_a_terminal_without_colours_gets_characters(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    screen = Screen(80)
    render.picture(screen.console, fake.ring())
    assert "\x1b" not in screen.text
    assert set("".join(screen.lines)) > set(" @")


def test_a_picture_without_colours_keeps_its_proportions():
    screen = Screen(80, colour=False)
    render.picture(screen.console, fake.ring())
    assert [len(line) for line in screen.lines] == [28] * 14
    assert set("".join(screen.lines)) > set(" @")
    assert screen.lines == [line[::-1] for line in screen.lines], "a ring is its own mirror image"


def test_sizes_of_pictures():
    assert _fit(np.zeros((8, 8), np.uint8), 64).shape == (16, 16), "tiny ones are doubled"
    assert _fit(np.zeros((27, 28), np.uint8), 64).shape == (28, 28)
    assert _fit(np.full((300, 300), 200, np.uint8), 64).shape == (60, 60)
    assert _fit(np.full((300, 299), 200, np.uint8), 64).min() == 200
    assert _fit(np.zeros((28, 28), np.uint8), 5).shape[1] <= 5


@pytest.mark.parametrize("width", [20, 80, 120])
def test_pictures_side_by_side(width):
    screen = Screen(width, colour=False)
    captions = [f"{number} taken for [b]\n99%" for number in range(7)]
    render.pictures(screen.console, [fake.ring()] * 7, captions)
    screen.check_width()
    assert sum(line.count("99%") for line in screen.lines) == 7
    a_row = find(screen, "0 taken").count("taken")
    assert a_row == {20: 1, 80: 4, 120: 6}[width]
    assert find(screen, "6 tak")


def test_pictures_of_different_sizes_and_none():
    screen = Screen(100, colour=False)
    render.pictures(screen.console, [fake.ring(28), fake.ring(40), np.zeros((3, 3), np.uint8)], ["a", "b", "c"])
    screen.check_width()
    assert find(screen, "^a +b")
    render.pictures(screen.console, [], [])


def test_grey_of_any_values():
    assert render.to_grey(np.array([[0, 16, 8, 4]]), (2, 2)).tolist() == [[[0, 255], [128, 64]]]
    assert render.to_grey(np.array([[-1.0, 1.0]]), (1, 2)).tolist() == [[[0, 255]]]
    assert render.to_grey(np.zeros((1, 4)), (2, 2)).max() == 0


# Reports


def test_evaluation():
    screen = Screen(80)
    result = fake.evaluation()
    render.evaluation(screen.console, result, fake.images(), (28, 28))
    assert find(screen, rf"^accuracy +{result.accuracy:.2%} \(\d+ of {result.n:,} wrong\)")
    assert find(screen, r"^loss +0\.0812")
    score = result.classes[3]
    row = ["3", f"{score.precision:.2%}", f"{score.recall:.2%}", f"{score.f1:.2%}", f"{score.support:,}"]
    assert row in [line.split() for line in screen.lines]
    cells = find(screen, r"^3 .* 41 ").split()
    assert cells == ["3", *(str(count) if count else "·" for count in result.confusion[3])]
    assert find(screen, "3 taken for 4")
    assert find(screen, r"96\.9% +#121")


def test_confusion_is_readable_without_colour():
    screen = Screen(80, colour=False)
    render.evaluation(screen.console, fake.evaluation(fake.FASHION, 0))
    head = find(screen, r"^ +0 +1 +2 ")
    row = find(screen, "^3 Dress ")
    assert row.index("41") + 1 == head.index("1"), "counts stand below their class"


def test_many_classes_show_the_worst_confusions():
    screen = Screen(80)
    render.evaluation(screen.console, fake.evaluation(tuple(f"class {i}" for i in range(30)), 0))
    assert not any(line.startswith("Confusion:") for line in screen.lines)
    start = screen.lines.index(next(line for line in screen.lines if line.startswith("Worst confusions")))
    assert screen.lines[start + 3].split()[:5] == ["class", "3", "class", "1", "41"]


def test_a_narrow_terminal_gets_no_broken_matrix():
    screen = Screen(50)
    render.evaluation(screen.console, fake.evaluation(fake.FASHION, 0))
    screen.check_width()
    assert find(screen, "^Worst confusions")


def test_evaluation_of_numbers():
    screen = Screen()
    render.evaluation(screen.console, fake.numbers_evaluation())
    screen.check_width()
    assert find(screen, r"^R² +0\.9123")
    assert find(screen, r"width in mm +12\.35 +9\.877 +0\.9123")
    assert find(screen, r"^ *mean +- +- +0\.9123 +-$")  # the targets have units of their own
    assert find(screen, r"#7 +1000\.2, 1000\.2 +987\.5, 987\.5")
    assert not any("accuracy" in line or "class" in line for line in screen.lines)


def test_a_training_of_numbers_shows_its_losses():
    screen = Screen()
    numbers = {"train_accuracy": None, "test_accuracy": None}
    with render.TrainingView(screen.consoles(), 3) as view:
        for number in (1, 2, 3):
            view.epoch(fake.epoch(number, 3, **numbers, test_loss=(0.5, 0.25, 0.375)[number - 1]))
        view.summary()
    screen.check_width()
    assert find(screen, r"^ *epoch +loss +test +")
    assert find(screen, r"^best test loss +0\.2500 in epoch 2")
    assert find(screen, r"^last test loss +0\.3750")
    assert not any("%" in line or "train " in line for line in screen.lines)


def test_evaluation_without_mistakes():
    screen = Screen()
    result = fake.evaluation(n_mistakes=0)
    result.confusion[:] = np.diag(np.diag(result.confusion))
    result.accuracy = 1.0
    result.classes[0].precision = float("nan")
    render.evaluation(screen.console, result, fake.images(), (28, 28))
    assert find(screen, r"^accuracy +100\.00% \(0 of")
    assert "mistakes" not in "".join(screen.lines)


def test_prediction():
    screen = Screen(80)
    render.prediction(screen.console, fake.recognition())
    assert screen.lines[0].strip() == "pictures/ring [bold].png"
    assert re.search(r"0 +█+▍? +97\.1%", find(screen, "97.1%"))
    assert find(screen, r"6 .* 2\.5%")
    assert find(screen, r"9 .* 0\.2%")
    assert "0.1%" not in "".join(screen.lines), "the top three only"
    assert len(screen.lines) == 15


def test_data_set():
    screen = Screen(80, colour=False)
    render.description(screen.console, fake.description())
    for pattern in (
        "60,000 for training, 10,000 for testing",
        "28x28, 10 classes",
        r"uint8, 0 to 255, 19\.1% of them not zero",
        r"^ +0 +6,000 +1,000 +10\.0% +█{24}",
        "0  #0 +1  #3",
    ):
        assert find(screen, pattern)
    many = Screen(80)
    render.description(many.console, fake.description(tuple(f"c{i}" for i in range(60)), None))
    assert find(many, "^and 10 more classes")


def test_listing():
    screen = Screen(120)
    render.listing(screen.console, fake.listing())
    assert "/home/someone/data/mnist" in find(screen, "^mnist")
    assert "not downloaded" in find(screen, "^fashion-mnist")
    assert find(screen, "jitnet data fetch fashion-mnist")


# Tables and curves


def test_table():
    screen = Screen(80)
    rows = [["linear forward", 1234, 41.256, "94%", None], ["softmax", 5, 1.0, "104%*", 3]]
    render.table(screen.console, ["kernel", "calls", "µs", "roof", "n"], rows, title="Kernels", footnotes=["* above"])
    assert screen.lines[0].strip() == "Kernels"
    forward, softmax = find(screen, "^linear"), find(screen, "^softmax")
    assert forward.split()[2:] == ["1,234", "41.26", "94%", "-"]
    assert forward.index("1,234") + 5 == softmax.index(" 5 ") + 2, "numbers end in one column"
    assert screen.lines[-1].strip() == "* above"


def test_a_wide_table_breaks_between_words_only():
    screen = Screen(80)
    columns = ["kernel", "shape", "median µs", "±", "GFLOP/s", "GB/s", "FLOP/B", "of the roof", "bound by"]
    row = ["linear weights' gradient", "32×784×128", 44.13, "0.9%", 146.2, 14.31, 10.4, "88%", "bandwidth"]
    render.table(screen.console, columns, [row])
    screen.check_width()
    words = " ".join(screen.lines).split()
    assert {"32×784×128", "gradient", "bandwidth", "44.13", "146.2", "GFLOP/s", "FLOP/B"} <= set(words)


def test_empty_table():
    screen = Screen()
    render.table(screen.console, ["a", "b"], [])
    assert find(screen, "^a +b")


def test_bar():
    console = Screen().console
    assert render.bar(console, 1.0, 10).plain == "█" * 10
    assert render.bar(console, 0.5, 10).plain == "█" * 5
    assert render.bar(console, 0.0, 10).plain == ""
    assert render.bar(console, 0.0125, 10).plain == "▏"
    assert render.bar(console, float("nan"), 10).plain == ""
    assert render.bar(Screen(ascii_only=True).console, 0.5, 10).plain == "#####"


@pytest.mark.parametrize("ascii_only", [False, True], ids=["braille", "ascii"])
def test_plot(ascii_only):
    screen = Screen(60, ascii_only=ascii_only, colour=False)
    xs = np.linspace(0, 10, 50)
    render.plot(screen.console, xs, xs * 0.01, title="Rate", x_label="epoch", height=8)
    screen.check_width()
    assert screen.lines[0] == "Rate"
    body = screen.lines[1:9]
    assert body[0].startswith(" 0.1")
    assert body[-1].lstrip().startswith("0 ")
    drawn = [[place for place, mark in enumerate(line[7:]) if mark not in " │┤|"] for line in body]
    assert all(drawn)
    assert [places[0] for places in drawn] == sorted((places[0] for places in drawn), reverse=True), "it rises"
    assert screen.lines[-1].split() == ["0", "epoch", "10"]


@pytest.mark.parametrize("ys", [[], [1.0], [2.0, 2.0], [float("nan"), 1.0, float("inf")], [-1e-9, 1e9]])
def test_plot_of_odd_curves(ys):
    screen = Screen(40)
    render.plot(screen.console, list(range(len(ys))), ys)
    screen.check_width()
    assert screen.lines


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([56.54, 28.5], ["56.54", "28.50"]),
        ([12.3456, 0.98765], ["12.3456", "0.9877"]),
        ([-3.0, 0.0], ["-3.000", "0.000"]),
        ([1234.5, 20000.0], ["1234", "20000"]),
        ([1.0, 123456.0], ["1", "1.235e+05"]),
        ([1e-9, 2e-9], ["1e-09", "2e-09"]),
        ([5.0, float("nan")], ["5.000", "nan"]),
        ([0.0, 0.0], ["0.000", "0.000"]),
        ([], []),
    ],
)
def test_the_numbers_of_a_column_have_the_same_decimals(values, shown):
    assert same_decimals(values) == shown


def test_of_one_quantity_the_large_ones_decide():
    assert same_decimals([14.3483, 0.0316, -12.38], one_quantity=True) == ["14.348", "0.032", "-12.380"]


def test_tables_of_an_evaluation_drop_no_zeros(capsys):
    scores = (TargetScore("a", 56.54, 28.5, 0.9, -0.5), TargetScore("b", 28.5, 12.25, 0.8, 0.25))
    far = (Deviation(3, (56.54, 1.0), (28.5, 2.0)), Deviation(4, (10.0, 1.0), (7.25, 2.0)))
    found = Evaluation(0.1, 9, "regress", rmse=42.52, mae=20.375, r2=0.85, bias=-0.125, targets=scores, deviations=far)
    render.evaluation(render.make_console(sys.stdout, terminal=False, width=80), found)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["a", "56.54", "28.50", "0.9000", "-0.5000"] in rows
    assert ["b", "28.50", "12.25", "0.8000", "0.2500"] in rows
    assert ["#4", "10.000,", "1.000", "7.250,", "2.000"] in rows


@pytest.mark.parametrize(
    ("n_bytes", "words"), [(0, "0 B"), (999, "999 B"), (8400, "8.4 kB"), (100_000, "0.1 MB"), (54_880_000, "54.9 MB")]
)
def test_a_size_has_a_unit_that_suits(capsys, n_bytes, words):
    render.description(
        render.make_console(sys.stdout, terminal=False), replace(fake.description(), in_memory_bytes=n_bytes)
    )
    assert re.search(rf"^in memory +{words}$", capsys.readouterr().out, re.MULTILINE)
