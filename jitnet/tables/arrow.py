"""pyarrow, imported where a table is first read: its absence is an error that says how to install it."""

from types import ModuleType

from jitnet.errors import MissingExtra

__all__ = ["arrow_modules"]

INSTALL = "install it with: pip install pyarrow"


def arrow_modules(source: str) -> tuple[ModuleType, ModuleType, ModuleType]:
    """Return pyarrow, pyarrow.compute and pyarrow.csv. Raises MissingExtra, which names `source`, without pyarrow."""
    try:
        import pyarrow
        import pyarrow.compute
        import pyarrow.csv
    except ImportError:
        raise MissingExtra(f"{source}: reading a table needs pyarrow; {INSTALL}") from None
    return pyarrow, pyarrow.compute, pyarrow.csv
