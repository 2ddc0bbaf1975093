"""What `jitnet predict` writes for the rows of a table: predictions beside what identifies each row."""

import io
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from jitnet.cli.common import check_output, print_json
from jitnet.cli.streams import is_file
from jitnet.config import LOSSES
from jitnet.errors import DataError, OutputError, UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from jitnet.model import AnyModel
    from jitnet.render import Consoles
    from jitnet.tables.table import Column, Table

__all__ = ["opened", "predict_rows"]

ROWS_AT_ONCE = 32_768
ENDINGS = {".csv": ",", ".tsv": "\t"}

_WHOLE = re.compile(r"0|[1-9]\d{0,17}", re.ASCII)
"""Whole numbers that are written again as they are."""


class _Rows(NamedTuple):
    """The rows of a file. predict: a function that predicts some of them; identifier: the
    name of what names them; identities: a function that makes these names; notices: what is to be said of the file."""

    source: str
    n_rows: int
    predict: "Callable[[npt.NDArray[np.int64]], npt.NDArray[Any]]"
    identifier: str
    identities: "Callable[[npt.NDArray[np.int64]], list[Any]]"
    notices: list[str]


def predict_rows(network: "AnyModel", source: str, out: Path | None, screen: "Consoles", json: bool) -> None:
    """Predict the rows of a file, or of standard input for "-", and write them to `out`, or to standard output.

    Raises DataError where columns are missing or not what the model was trained on, OutputError where `out` cannot be
    written.
    """
    from jitnet import render

    check_output("--out", out, tuple(ENDINGS))
    if json and out is not None:
        raise UsageError("--json prints one document, and --out writes a table; ask for one of them")
    with render.downloads(screen) as progress:
        rows = _plain(network, source) if network.preparation is None else _of_table(network, source, progress)
    for line in rows.notices:
        render.notice(render.make_console(sys.stderr), line)
    names, outputs = _outputs(network)
    heads = [rows.identifier, *names]
    chunks = _chunks(rows, outputs)
    with render.compiling(screen):
        first = next(chunks, [])
    # Whatever reads a pipe may write to the same terminal as the bar, and would write into it.
    shown_on = screen if out is not None or is_file(sys.stdout) else render.consoles(quiet=True)
    with render.counting(shown_on, "predicting", rows.n_rows, "rows") as count:
        if json:
            document = [dict(zip(heads, row, strict=True)) for chunk in chain([first], chunks) for row in chunk]
            print_json({"source": rows.source, "predictions": document, "notices": rows.notices})
            return
        separator = "," if out is None else ENDINGS[out.suffix.lower()]
        with opened(out) as file:
            file.write(_line(heads, separator))
            for chunk in chain([first], chunks):
                _write(file, chunk, separator)
                count(len(chunk))
    if out is not None:
        render.facts(screen.info, [("wrote", f"{out}: {rows.n_rows:,} row{'s' * (rows.n_rows != 1)}")])


def _of_table(network: "AnyModel", source: str, progress: Callable[[str, int, int | None], None]) -> _Rows:
    """The rows of a file for a model that was trained on a table: columns are found by name."""
    from jitnet.datasets.from_table import unused_notice
    from jitnet.datasets.registry import as_table
    from jitnet.tables.reader import read_table

    preparation = network.preparation
    assert preparation is not None
    kinds: dict[str, tuple[Any, str]] = {}
    for member in reversed(network.members):
        kinds |= member.preparation.kinds_needed if member.preparation is not None else {}
    if source != "-":
        table = as_table(source, progress, kinds)
    else:
        with _reading_stdin():
            table = read_table(sys.stdin.buffer, kinds=kinds)
    predict = network.row_predictor(table)
    return _Rows(table.source, len(table), predict, *_identities(network, table), unused_notice(preparation, table))


def _plain(network: "AnyModel", source: str) -> _Rows:
    """The rows of a file of numbers, for a model that was trained on such: columns are found by their place."""
    from jitnet.datasets.csv import read_rows
    from jitnet.datasets.files import check_file, reading

    n_values = network.config.in_features
    try:
        if source == "-":
            with _reading_stdin():
                text = io.TextIOWrapper(sys.stdin.buffer, "utf-8-sig")
                values, labelled = read_rows(text, "standard input", n_values)
        else:
            path = Path(source).expanduser()
            check_file(path, "a CSV file")
            with reading(path), path.open(encoding="utf-8-sig", newline=None) as file:
                values, labelled = read_rows(file, source, n_values)
    except UnicodeDecodeError:
        raise DataError(f"{source}: is not UTF-8 text; expected a CSV file") from None
    ignored = f"{source}: the first of {n_values + 1:,} columns is taken for the label, and ignored"
    return _Rows(
        source, len(values), lambda rows: network.predict(values[rows]), "row", _numbers, [ignored] if labelled else []
    )


@contextmanager
def _reading_stdin() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"standard input: cannot be read: {error.strerror or error}") from None


def _identities(network: "AnyModel", table: "Table") -> "tuple[str, Callable[[npt.NDArray[np.int64]], list[Any]]]":
    """The name of what identifies rows, and a function that returns it of some: the values of the column that
    identified them when the model was trained, as they are written; else their numbers."""
    assert network.preparation is not None
    name = network.preparation.identifier
    if name is None or name not in table.names:
        return "row", _numbers
    column = table.column(name)
    if column.kind != "word":  # of a file that has types itself
        return name, lambda rows: _as_written(column, rows)
    are_whole = all(_WHOLE.fullmatch(word) for word in column.words)
    values = [*(int(word) if are_whole else word for word in column.words), ""]
    return name, lambda rows: [values[code] for code in column.values[rows].tolist()]


def _numbers(rows: "npt.NDArray[np.int64]") -> list[int]:
    """The numbers of rows from 1."""
    found: list[int] = (rows + 1).tolist()
    return found


def _outputs(network: "AnyModel") -> "tuple[list[str], Callable[[npt.NDArray[Any]], list[list[Any]]]]":
    """The names of the columns of predictions, and a function that makes these columns of the model's predictions.

    Of classes the likeliest and the probability of each; of labels yes or no and the probability of yes; of numbers
    each target, or each quantile of each.
    """
    names, target = list(network.output_names), LOSSES[network.config.loss].target

    def numbers(found: "npt.NDArray[Any]") -> list[list[Any]]:
        return [column.tolist() for column in found.T]

    if target == "number":
        return names, numbers
    probabilities = [f"probability of {name}" for name in names]
    if target == "label":
        words = [_truth_words(network, name) for name in names]
        return [*names, *probabilities], lambda found: [
            *([pair[p > 0.5] for p in column] for pair, column in zip(words, numbers(found), strict=True)),
            *numbers(found),
        ]
    return ["prediction", *probabilities], lambda found: [
        [names[k] for k in found.argmax(axis=1).tolist()],
        *numbers(found),
    ]


def _truth_words(network: "AnyModel", target: str) -> tuple[str, str]:
    """The words for no and yes of a label: as the file that was trained on writes them, where it has words."""
    from jitnet.tables.treatments import words_of_form

    known = {} if network.preparation is None else network.preparation.kinds
    kind, form = known.get(target, ("number", ""))
    return words_of_form(form) if kind == "boolean" else ("no", "yes")


def _chunks(
    rows: _Rows,
    outputs: "Callable[[npt.NDArray[Any]], list[list[Any]]]",
) -> Iterator[list[tuple[Any, ...]]]:
    """Some rows of the result at a time."""
    import numpy as np

    for start in range(0, rows.n_rows, ROWS_AT_ONCE):
        chosen = np.arange(start, min(rows.n_rows, start + ROWS_AT_ONCE))
        columns = outputs(rows.predict(chosen))
        yield list(zip(rows.identities(chosen), *columns, strict=True))


def _as_written(column: "Column", rows: "npt.NDArray[np.int64]") -> list[Any]:
    """The values of a column of numbers, dates or true and false."""
    values = column.values[rows]
    if column.kind == "number":
        return ["" if value != value else int(value) if value.is_integer() else value for value in values.tolist()]
    return [str(value) for value in values]


@contextmanager
def opened(out: Path | None) -> Iterator[TextIO]:
    """The file to write to, replaced whole at the end, or standard output."""
    if out is None:
        yield sys.stdout
        return
    from jitnet.files import create, writing

    try:
        with writing(out) as temporary, io.TextIOWrapper(create(temporary), encoding="utf-8", newline="") as file:
            yield file
    except OSError as error:
        raise OutputError(
            f"--out {out}: cannot be written: {(error.strerror or str(error)).lower()}; choose another place"
        ) from None


def _write(file: TextIO, rows: Sequence[tuple[Any, ...]], separator: str) -> None:
    """Write rows; numbers with the seven digits that float32 has."""
    if not rows:
        return
    pattern = separator.join("%.7g" if isinstance(value, float) else "%s" for value in rows[0]) + "\n"
    for k in (k for k, value in enumerate(rows[0]) if isinstance(value, str)):
        if any(_cell(word, separator) != word for word in {row[k] for row in rows}):
            rows = [(*row[:k], _cell(row[k], separator), *row[k + 1 :]) for row in rows]
    file.write("".join([pattern % row for row in rows]))


def _line(cells: Sequence[str], separator: str) -> str:
    return separator.join(_cell(cell, separator) for cell in cells) + "\n"


def _cell(text: Any, separator: str) -> Any:
    """A cell, in quotes where it needs them."""
    if isinstance(text, str) and any(mark in text for mark in (separator, '"', "\n", "\r")):
        return '"' + text.replace('"', '""') + '"'
    return text
