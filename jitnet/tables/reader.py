"""From a file or a stream to a typed table.

CSV and TSV text, with any of the usual separators, and Parquet; plain or gzipped. `dialect`, `rows` and `forms` say
what text may look like. pyarrow reads the cells. It guesses nothing: it receives whole rows that were counted and
checked here, the separator and the types, and the number of rows that it returns is compared with the count.

pyarrow, and not duckdb, because blocks of rows can be handed to it in memory: one pass over a file, a pipe or a gzipped
file without a copy on the disk, and each block becomes float64 at once. duckdb reads paths only, and returns columns to
NumPy only whole.
"""

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from jitnet.config.checking import quoted
from jitnet.errors import DataError
from jitnet.tables import parquet
from jitnet.tables.arrow import arrow_modules
from jitnet.tables.dialect import MISSING, Dialect, decide
from jitnet.tables.growing import Growing
from jitnet.tables.opening import Progress, Source, decoded
from jitnet.tables.rows import Block, blocks_of_rows
from jitnet.tables.table import EXACT, Kind, Table
from jitnet.tables.typed_columns import TypedColumn

__all__ = ["read_table"]


def read_table(
    source: str | Path | BinaryIO,
    *,
    kinds: Mapping[str, tuple[Kind, str]] | None = None,
    progress: Progress | None = None,
) -> Table:
    """Return the table in a CSV, TSV or Parquet file, plain or gzipped.

    source: a path, "-" for standard input, or a binary stream, which is read to its end.
    kinds: for columns whose kind is known, such as those that a model was trained on: by name the kind and the form, as
        in a Column. Such a column is read as that kind, or it is an error. The form is tried first; it may be "".
    progress: called with (name of the source, bytes read, bytes in all), again from the start where it is read again.

    Raises DataError, with the line where there is one, for whatever is not a table: see docs/table-files.md.
    Raises MissingExtra without pyarrow.
    """
    opened = Source(source, progress)
    arrow_modules(opened.name)
    with opened.opened() as stream:
        if parquet.is_parquet(stream):
            return parquet.read(opened)
    return _TextReader(opened, kinds or {}).read()


class _TextReader:
    def __init__(self, source: Source, kinds: Mapping[str, tuple[Kind, str]]):
        self.source = source
        self.kinds = kinds
        self.lines = Growing("i8")
        self.dialect: Dialect
        self.columns: list[TypedColumn] = []

    def read(self) -> Table:
        for block in self._blocks():
            first_row = len(self.lines)
            self.lines.append(block.lines)
            self._add(block, first_row, range(len(self.columns)))
        while again := [at for at, column in enumerate(self.columns) if column.must_be_read_again]:
            for at in again:
                self.columns[at].start_again()
            first_row = 0
            for block in self._blocks():
                self._add(block, first_row, again)
                first_row += len(block.lines)
        columns = tuple(column.column() for column in self.columns)
        return Table(self.source.name, columns, self.lines.finish(), str(self.dialect))

    def _blocks(self) -> Iterator[Block]:
        """The rows of the file; the first time, its dialect is decided too."""
        with self.source.opened() as stream:
            encoding, text = decoded(self.source, stream)
            if not self.columns:
                start = [block for _, block in zip(range(2), text, strict=False)]
                self.dialect = decide(start[0], len(start) == 1, self.source.name, encoding)
                lacking = [name for name in self.kinds if name not in self.dialect.names]
                advice = ""
                if 2 * len(lacking) > len(self.kinds):
                    named = " and ".join(quoted(name) for name in lacking[:2])
                    advice = f"; columns are missing too, {named} for example: is it another table?"
                self.columns = [
                    TypedColumn(name, self.dialect.separator, self._where, self.kinds.get(name), advice)
                    for name in self.dialect.names
                ]
                text = chain(start, text)
            yield from blocks_of_rows(text, self.dialect, self.source.name)

    def _where(self, row: int) -> str:
        """Name a row, from 0, by its line."""
        return f"{self.source.name}, line {self.lines[row]}"

    def _add(self, block: Block, first_row: int, places: Any) -> None:
        """Append a block's cells to the columns at `places`."""
        plain = {at for at in places if self.columns[at].is_plain and self.columns[at].n_present}
        read = self._cells(block, places, plain)
        if not read:
            plain = set()
            read = self._cells(block, places, plain)
        for at in places:
            column = self.columns[at]
            if at in plain:
                values = np.asarray(read[at].to_numpy(zero_copy_only=False), np.float64)
                if not (np.abs(values) >= EXACT).any():  # infinite ones are found with them
                    column.add_numbers(values)
                    continue
                read[at] = self._cells(block, [at], set())[at]
            column.add(_stripped(read[at]), first_row)

    def _cells(self, block: Block, places: Any, plain: set[int]) -> dict[int, Any]:
        """Arrow arrays of a block: of numbers for `plain` columns, of text for others.

        None of them where plain ones are not all numbers.
        """
        pa, _, csv = arrow_modules(self.source.name)
        names = [str(at) for at in range(len(self.columns))]
        types = {str(at): pa.float64() if at in plain else pa.string() for at in places}
        try:
            table = csv.read_csv(
                pa.BufferReader(block.content),
                csv.ReadOptions(column_names=names, block_size=len(block.content) + 1),
                csv.ParseOptions(delimiter=self.dialect.separator, newlines_in_values=True),
                csv.ConvertOptions(
                    check_utf8=False,
                    column_types=types,
                    include_columns=list(types),
                    null_values=MISSING,
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=True,
                ),
            )
        except pa.ArrowInvalid as error:
            if plain:
                return {}
            raise self._disagreement(block, str(error)) from None
        if table.num_rows != len(block.lines):
            raise self._disagreement(block, f"{table.num_rows} rows found")
        return {at: table.column(str(at)).combine_chunks() for at in places}

    def _disagreement(self, block: Block, found: str) -> DataError:
        first, last = block.lines[0], block.lines[-1]
        return DataError(
            f"{self.source.name}, lines {first} to {last}: {len(block.lines)} rows were counted, and pyarrow reads "
            f"others ({found.partition(chr(10))[0]}); please report this file"
        )


def _stripped(cells: Any) -> Any:
    """Text without spaces around it, null where it means missing."""
    pa, compute, _ = arrow_modules("")
    stripped = compute.utf8_trim_whitespace(cells)
    missing = compute.is_in(stripped, value_set=pa.array(MISSING))
    return compute.if_else(missing, pa.scalar(None, pa.string()), stripped)
