"""What a run folder and `--json` hold, as JSON that any reader accepts."""

import json
import math
import os
from dataclasses import asdict, is_dataclass
from typing import Any

__all__ = ["as_json", "record"]


def record(report: Any) -> dict[str, Any]:
    """The fields of an `EpochReport` as a metrics line has them; `val_*` only where data was held out."""
    fields = asdict(report) if is_dataclass(report) and not isinstance(report, type) else dict(report)
    return {name: value for name, value in fields.items() if value is not None or not name.startswith("val_")}


def as_json(value: Any, *, indent: int | None = None) -> str:
    """`value` as JSON text that any reader accepts: NaN and infinity, which JSON lacks, become null.

    Takes what the configuration and the reports hold: dicts, sequences, dataclasses, paths, NumPy scalars and arrays.
    """
    text = json.dumps(_plain(value), indent=indent, ensure_ascii=False, allow_nan=False)
    # A file name may hold bytes that are not UTF-8: Python has surrogates for them, and JSON an escape.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if hasattr(value, "tolist"):  # NumPy scalars and arrays, without importing NumPy
        return _plain(value.tolist())
    if isinstance(value, os.PathLike):
        return str(value)
    raise TypeError(f"no JSON for {type(value).__name__}")
