"""The line view on the screen: counts are beside their loop, reasons below it."""

import io
from dataclasses import replace

import pytest

from jitnet.profile.code.code_view import Body, CodeView, Counts, Instruction, Loop, Mca, Source
from jitnet.profile.code.loop_verdict import is_tile, verdict
from jitnet.render import code_summary, code_views, make_console
from jitnet.render.tables import Cell, table

FILE = "/nowhere/mine.py"
LINES = (
    "def smooth(x, y, out):",
    '    """Two loops.',
    "",
    "    Much is told here that the view need not show.",
    '    """',
    "    for i in range(x.shape[0]):",
    "        for j in range(x.shape[1]):",
    "            out[i, j] = x[i, j] * y[i, j] + a_function_with_a_long_name(x[i, j], y[i, j], out[i, j], i, j)",
    "    total = 0.0",
    "    for i in range(x.shape[0]):",
    "        total += out[i, 0]",
    "    return total",
)
INSTRUCTIONS = (
    Instruction("vmovups\t(%rdi), %ymm0", FILE, 48, "load", load_bytes=32),
    Instruction("vfmadd213ps\t(%rsi), %ymm1, %ymm0", FILE, 48, "fma"),
    Instruction("addq\t$8, %rdx", FILE, 47),
    Instruction("jne\t.LBB0_1", "", 0, "jump"),
)
FAST = Loop(
    FILE,
    47,
    48,
    "smooth",
    2,
    True,
    vectorised=True,
    width=8,
    interleaved=4,
    bodies=(
        Body(
            "smooth",
            2,
            True,
            "main",
            32,
            Counts(fma_packed=4, loads=8, stores=3, instructions=15, flop=64, load_bytes=256, vector_bits=256),
            INSTRUCTIONS,
            Mca("llvm-mca 14", "haswell", 6.14, "HWPort23"),
        ),
        Body("smooth", 2, True, "rest", 1, Counts(fma_scalar=1), ()),
    ),
)
REASON = "its sum of floats would be added in another order and round differently; fastmath={'reassoc'} allows that"
SLOW = Loop(
    FILE,
    50,
    51,
    "smooth",
    1,
    True,
    parallel="body",
    reason=REASON,
    remark="cannot prove it is safe to reorder floating-point operations",
    bodies=(
        Body(
            "smooth",
            1,
            True,
            "main",
            1,
            Counts(flop_scalar=1, loads=1, divisions=2, widenings=1, conversions=2, calls=1, instructions=6),
            (Instruction("callq\tlog", FILE, 51, "call", callee="log"),),
            Mca("llvm-mca 14", "haswell", note="it calls a function: no bound"),
        ),
    ),
)
GONE = replace(FAST, line=46, last_line=48, depth=1, vectorised=False, unrolled=0, bodies=())
VIEW = CodeView(
    "smooth",
    "mine",
    "(float32[:, ::1], float32[:, ::1], float32[:, ::1]) -> float64",
    "njit",
    "znver9",
    True,
    256,
    (Source(FILE, "smooth", 41, LINES),),
    (GONE, FAST, SLOW),
    120,
    120,
    notes=("compiled for znver9 and read; it did not run",),
)


def shown(width: int | None, *, asm: bool = False, views: tuple[CodeView, ...] = (VIEW,)) -> list[str]:
    file = io.StringIO()
    code_views(make_console(file, terminal=width is not None, width=width, colour=False), views, asm=asm)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def row_of(lines: list[str], start: str) -> int:
    return next(number for number, line in enumerate(lines) if line.startswith(start))


@pytest.mark.parametrize("width", [80, 120])
def test_everything_fits_the_terminal(width):
    assert max(len(line) for line in shown(width, asm=True)) <= width
    assert max(len(line) for line in shown(width, views=(VIEW, VIEW))) <= width


@pytest.mark.parametrize("width", [80, 120, None])
def test_counts_stand_beside_their_loop_and_the_verdict_below(width):
    lines = shown(width)
    head = lines[next(number for number, line in enumerate(lines) if "fma p/s" in line)]
    row = row_of(lines, "47 │")
    assert "for j in range(x.shape[1]):" in lines[row]
    for column, number in {"fma p/s": "4/0", "loads": "8", "stores": "3", "instr": "15", "cycles": "6.1"}.items():
        end = head.index(column) + len(column)
        assert lines[row][:end].split()[-1] == number, column
    assert "vectorised ×8, 4 vectors an iteration" in lines[row + 1]
    text = " ".join(line.strip() for line in lines[row + 2 : row_of(lines, "48 │")])
    assert "an iteration does 32 of the source's; 64 FLOP; 256 B read" in text
    assert "bound by HWPort23" in text
    assert "another loop does the remainder" in text


@pytest.mark.parametrize("width", [80, 120, None])
def test_a_reason_is_wrapped_below_its_loop(width):
    lines = shown(width)
    row, end = row_of(lines, "50 │"), row_of(lines, "51 │")
    text = " ".join(line.strip(" └") for line in lines[row + 1 : end])
    assert f"in each thread: not vectorised: {REASON}" in text
    assert "2 divisions; 2 conversions (1 from float32 to float64); calls log" in text
    if width is None:
        assert end - row == 3  # a pipe's lines are not broken


def test_a_loop_that_is_gone_and_lines_without_loops():
    lines = shown(120)
    assert "fully unrolled" in lines[row_of(lines, "46 │") + 1]
    assert lines[row_of(lines, "52 │")] == "52 │     return total"


def test_a_docstring_is_cut_to_its_first_line():
    lines = shown(120)
    assert "Two loops." in lines[row_of(lines, "42 │")]
    assert not any("need not show" in line for line in lines)


def test_instructions_stand_under_their_lines():
    lines = shown(80, asm=True)
    place = next(number for number, line in enumerate(lines) if line.strip().startswith("mine.py:47"))
    rows = [" ".join(line.split()) for line in lines[place : place + 6]]
    assert rows[0] == "mine.py:47"
    # An instruction without a line goes with the one before it.
    assert rows[1:3] == ["3 addq $8, %rdx", "4 jne .LBB0_1"]
    assert rows[3:6] == ["mine.py:48", "1 vmovups (%rdi), %ymm0", "2 vfmadd213ps (%rsi), %ymm1, %ymm0"]


def test_the_end_says_whose_cycles_these_are():
    text = " ".join(shown(120))
    assert "llvm-mca 14's for haswell, the nearest that it has to znver9" in text
    assert "compiled for znver9 and read; it did not run" in text
    assert "120 instructions as it runs" in text


def test_code_that_the_table_of_lines_changed_says_so():
    lines = " ".join(shown(120, views=(replace(VIEW, plain_instructions=90),)))
    assert "120 instructions, 90 without the line table" in lines


def test_several_functions_are_a_table():
    file = io.StringIO()
    code_summary(make_console(file, terminal=True, width=120, colour=False), [VIEW, replace(VIEW, function="other")])
    rows = [line.split() for line in file.getvalue().splitlines()]
    fast = next(row for row in rows if row[:2] == ["smooth", "47"])
    assert fast == ["smooth", "47", "8", "×4", "4/0", "0/0", "8", "3", "0", "15", "6.1"]
    assert ["50", "scalar", "0/0", "0/1", "1", "0", "0", "6"] in rows
    assert not any(row[:1] == ["46"] for row in rows)


def test_a_narrow_terminal_leaves_out_columns_without_a_number_first():
    view = replace(VIEW, loops=(SLOW,))
    head = next(line for line in shown(66, views=(view,)) if "loads" in line)
    assert "fma p/s" not in head
    assert "other p/s" in head


@pytest.mark.parametrize(
    ("gone", "expected"),
    [
        ("deleted", "deleted: nothing uses what it computes"),
        ("a call of memset", "became a call of memset"),
        ("computed without a loop", "computed without a loop"),
    ],
)
def test_a_loop_that_is_gone_says_what_became_of_it(gone, expected):
    lost = Loop(FILE, 50, 51, "smooth", 1, True, gone=gone)
    lines = shown(80, views=(replace(VIEW, loops=(FAST, lost)),))
    assert expected in lines[row_of(lines, "50 │") + 1]


def test_a_table_leaves_out_empty_columns_first():
    file = io.StringIO()
    rows: list[list[Cell]] = [[f"name {k}", "a long entry of words", None, "0%", 1234 + k] for k in range(3)]
    head = ["name", "entry", "none", "zero", "calls"]
    for width, left in ((50, head), (44, ["name", "entry", "zero", "calls"]), (38, ["name", "entry", "calls"])):
        file.truncate(0)
        file.seek(0)
        table(make_console(file, terminal=True, width=width, colour=False), head, rows, spare=["calls", "zero"])
        assert file.getvalue().splitlines()[0].split() == left


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (Counts(fma_packed=8, flop_scalar=1, vector_bits=256), True),
        (Counts(flop_packed=1, flop_scalar=3, vector_bits=128), False),
        (Counts(calls=2, vector_bits=256), False),
        (Counts(vector_bits=256), True),
    ],
)
def test_a_tile_computes_more_in_vectors_than_in_single_numbers(counts, expected):
    loop = Loop("a.py", 1, 2, "f", 1, True, bodies=(Body("f", 1, True, "main", 1, counts, ()),))
    assert is_tile(loop) == expected
    assert verdict(loop).startswith("in vectors as it is written" if expected else "not vectorised")


def test_counts_and_their_legend_are_only_where_a_loop_has_them():
    without = replace(VIEW, loops=(GONE,))
    assert not any(word in line for line in shown(80, views=(without,)) for word in ("p/s", "loads"))
    assert not any("p/s" in line for line in shown(80, views=(without, without)))
    callee = Source("/nowhere/theirs.py", "scaled", 7, ("def scaled(x):", "    return 2 * x"))
    lines = shown(80, views=(replace(VIEW, sources=(*VIEW.sources, callee)),))
    assert [line.split()[0] for line in lines if "fma p/s" in line] == ["/nowhere/mine.py:41"]
    assert "/nowhere/theirs.py:7" in lines
    assert any(line.startswith("p/s: ") for line in lines)
    assert any(line.startswith("cycles: ") for line in lines)
    lines = shown(80, views=(replace(VIEW, loops=(SLOW,)),))
    assert not any("cycles" in line for line in lines), "they are known of none of its loops"
