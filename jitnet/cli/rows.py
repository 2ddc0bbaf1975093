"""What `jitnet predict` writes for the rows of a table: predictions beside what identifies each row."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from jitnet.cli.common import check_output, print_json
from jitnet.errors import DataError, OutputError, UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from jitnet.model import Model
    from jitnet.render import Consoles
    from jitnet.tables.table import Column, Kind, Table

__all__ = ["predict_rows"]

ROWS_AT_ONCE = 32_768
ENDINGS = {".csv": ",", ".tsv": "\t"}


def predict_rows(network: "Model", source: str, out: Path | None, screen: "Consoles", json: bool) -> None:
    """Predict the rows of a file, or of standard input for "-", and write them to `out`, or to standard output.

    Raises DataError where columns are missing or not what the model was trained on, OutputError where `out` cannot be
    written.
    """
    from jitnet import render
    from jitnet.datasets.from_table import unused_notice

    check_output("--out", out, tuple(ENDINGS))
    if json and out is not None:
        raise UsageError("--json prints one document, and --out writes a table; ask for one of them")
    preparation = network.preparation
    assert preparation is not None
    with render.downloads(screen) as progress:
        table = _read(source, preparation.kinds_needed, progress)
    preparation.check_columns(table)
    notices = unused_notice(preparation, table)
    for line in notices:
        render.notice(screen.err, line)
    identifier = _identifier(network, table)
    names, outputs = _outputs(network)
    heads = [identifier.name if identifier is not None else "row", *names]
    with render.counting(screen, "predicting", len(table), "rows") as count:
        chunks = _chunks(network, table, identifier, outputs, count)
        with render.compiling(screen):
            first = next(chunks, [])
        if json:
            rows = [*first, *(row for chunk in chunks for row in chunk)]
            document = [dict(zip(heads, row, strict=True)) for row in rows]
            print_json({"source": table.source, "predictions": document, "notices": notices})
            return
        separator = "," if out is None else ENDINGS[out.suffix.lower()]
        with _opened(out) as file:
            file.write(_line(heads, separator))
            _write(file, first, separator)
            for chunk in chunks:
                _write(file, chunk, separator)
    if out is not None:
        render.facts(screen.info, [("wrote", f"{out}: {len(table):,} row{'s' * (len(table) != 1)}")])


def _read(
    source: str, kinds: "Mapping[str, tuple[Kind, str]]", progress: Callable[[str, int, int | None], None]
) -> "Table":
    from jitnet.datasets.registry import as_table
    from jitnet.tables.reader import read_table

    if source != "-":
        return as_table(source, progress, kinds)
    try:
        return read_table(sys.stdin.buffer, kinds=kinds)
    except OSError as error:
        raise DataError(f"standard input: cannot be read: {error.strerror or error}") from None


def _identifier(network: "Model", table: "Table") -> "Column | None":
    """The column that identified rows when the model was trained, where the table has it."""
    from jitnet.tables.treatments import LeftOut

    assert network.preparation is not None
    for treatment in network.preparation.treatments:
        if isinstance(treatment, LeftOut) and treatment.identifies and treatment.name in table.names:
            return table.column(treatment.name)
    return None


def _outputs(network: "Model") -> tuple[list[str], "Callable[[npt.NDArray[Any]], list[list[Any]]]"]:
    """The names of the columns of predictions, and a function that makes these columns of the model's predictions."""
    if network.config.task == "regress":
        return list(network.target_names), lambda found: [found[:, k].tolist() for k in range(found.shape[1])]
    classes = network.class_names

    def of_classes(found: "npt.NDArray[Any]") -> list[list[Any]]:
        likeliest = [classes[k] for k in found.argmax(axis=1).tolist()]
        return [likeliest, *(found[:, k].tolist() for k in range(found.shape[1]))]

    return ["prediction", *(f"probability of {name}" for name in classes)], of_classes


def _chunks(
    network: "Model",
    table: "Table",
    identifier: "Column | None",
    outputs: "Callable[[npt.NDArray[Any]], list[list[Any]]]",
    count: Callable[[int], None],
) -> Iterator[list[tuple[Any, ...]]]:
    """Some rows of the result at a time."""
    import numpy as np

    assert network.preparation is not None
    encode = network.preparation.encoder(table)
    for start in range(0, len(table), ROWS_AT_ONCE):
        rows = np.arange(start, min(len(table), start + ROWS_AT_ONCE))
        columns = outputs(network.predict(encode(rows)))
        yield list(zip(_identities(identifier, rows), *columns, strict=True))
        count(len(rows))


def _identities(column: "Column | None", rows: "npt.NDArray[np.int64]") -> list[Any]:
    """What identifies rows: their values in a column, else their numbers from 1."""
    if column is None:
        return (rows + 1).tolist()
    values = column.values[rows]
    if column.kind == "word":
        return ["" if code < 0 else column.words[code] for code in values.tolist()]
    if column.kind == "number":
        return ["" if value != value else int(value) if value.is_integer() else value for value in values.tolist()]
    return [str(value) for value in values]


@contextmanager
def _opened(out: Path | None) -> Iterator[TextIO]:
    """The file to write to, replaced whole at the end, or standard output."""
    if out is None:
        yield sys.stdout
        return
    from jitnet.datasets.files import writing

    try:
        with writing(out) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
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
