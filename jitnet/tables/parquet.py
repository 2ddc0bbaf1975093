"""Parquet files: columns have types there, and are taken as they are."""

from typing import Any, BinaryIO

import numpy as np

from jitnet.config.checking import quoted
from jitnet.errors import DataError
from jitnet.tables.arrow import arrow_modules
from jitnet.tables.opening import Source
from jitnet.tables.table import Column, Table, check_names, column_of_integers

__all__ = ["is_parquet", "read"]

MAGIC = b"PAR1"

ROWS_AT_ONCE = 1 << 16


def is_parquet(stream: BinaryIO) -> bool:
    """Whether a stream begins as a Parquet file does; it is moved on by four bytes."""
    return stream.read(4) == MAGIC


def read(source: Source) -> Table:
    """Return the table in a Parquet file.

    Numbers, decimals, text, categories, true/false, dates and times; a time of day and a duration are numbers of
    seconds. Raises DataError for a broken file, no rows, columns of one name, and nested or binary columns.
    """
    pa, _, _ = arrow_modules(source.name)
    import pyarrow.parquet as pq

    with source.as_file() as file:
        try:
            parquet = pq.ParquetFile(file)
            schema = parquet.schema_arrow
            _check(schema, source.name, parquet.metadata.num_rows)
            pieces: list[list[Any]] = [[] for _ in schema]
            n_rows = 0
            for batch in parquet.iter_batches(ROWS_AT_ONCE):
                n_rows += batch.num_rows
                for at, array in enumerate(batch.columns):
                    pieces[at].append(_values(array))
        except (pa.ArrowException, OSError) as error:
            reason = str(error).partition("\n")[0].rstrip(".")
            raise DataError(f"{source.name}: is a damaged Parquet file, or cut short: {reason}") from None
    if n_rows != parquet.metadata.num_rows:
        expected = parquet.metadata.num_rows
        raise DataError(f"{source.name}: is a damaged Parquet file: it names {expected:,} rows and holds {n_rows:,}")
    columns = []
    for at, name in enumerate(schema.names):
        columns.append(_column(name, schema.types[at], pieces[at], source.name))
        pieces[at] = []
    return Table(source.name, tuple(columns), None, "Parquet")


def _check(schema: Any, source: str, n_rows: int) -> None:
    import pyarrow.types as types

    check_names(schema.names, source)
    for name, kind in zip(schema.names, schema.types, strict=True):
        if types.is_nested(kind):
            raise DataError(f"{source}: column {quoted(name)} is nested ({kind}); expected one value in each row")
        if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
            raise DataError(f"{source}: column {quoted(name)} holds bytes ({kind}); expected numbers, words or dates")
    if not schema.names or not n_rows:
        raise DataError(f"{source}: holds no {'rows' if schema.names else 'columns'}; expected a table")


def _values(array: Any) -> Any:
    """A piece of a column: a NumPy array for numbers and dates; integers with their nulls, and text with its codes."""
    import pyarrow as pa
    import pyarrow.types as types

    kind = array.type
    if types.is_integer(kind):
        missing = np.asarray(array.is_null().to_numpy(zero_copy_only=False))
        return np.asarray(array.fill_null(0)), missing
    if types.is_null(kind) or types.is_boolean(kind) or types.is_decimal(kind) or types.is_floating(kind):
        return np.asarray(array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)
    if types.is_date(kind) or types.is_timestamp(kind):
        plain = array.cast(pa.timestamp("us", getattr(kind, "tz", None)), safe=False)
        return np.asarray(plain.to_numpy(zero_copy_only=False)).astype("M8[us]")
    if types.is_time(kind) or types.is_duration(kind):
        per_second = {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}[kind.unit]
        whole = array.cast(pa.int32() if kind.bit_width == 32 else pa.int64())
        return np.asarray(whole.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)) / per_second
    if types.is_dictionary(kind):
        array = array.cast(pa.string()) if not types.is_nested(kind.value_type) else array
    coded = array.cast(pa.string()).dictionary_encode()
    return np.asarray(coded.indices.fill_null(-1), np.int64), coded.dictionary.to_pylist()


def _column(name: str, kind: Any, pieces: list[Any], source: str) -> Column:
    import pyarrow.types as types

    if types.is_integer(kind):
        whole, missing = (np.concatenate([piece[part] for piece in pieces]) for part in (0, 1))
        return column_of_integers(name, whole, source, missing if missing.any() else None)
    if isinstance(pieces[0], tuple):
        places: dict[str, int] = {}
        codes = []
        for indices, words in pieces:
            here = [places.setdefault(word, len(places)) for word in words]
            codes.append(np.append(np.array(here, np.int32), np.int32(-1))[indices])
        return Column(name, "word", np.concatenate(codes), tuple(places))
    values = np.concatenate(pieces)
    if types.is_boolean(kind):
        return Column(name, "boolean", values)
    return Column(name, "date" if values.dtype.kind == "M" else "number", values)
