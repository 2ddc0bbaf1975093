"""The table of all operations, each with its record beside its function.

kind_….py       a kind of layer: forward beside backward    updates.py      parameters: optimizer, norms, average
output.py       logits, loss, predictions                   whole_data.py   samples as they are stored

A new operation is its function under `@operation(…)` in one of these, and the lines of the programs that have it.
"""

from types import ModuleType

from jitnet.engine import output, updates, whole_data
from jitnet.engine.kinds import KIND_MODULES
from jitnet.engine.operation import Operation, record_of

__all__ = ["CODES", "OPERATIONS"]


def _defined_in(module: ModuleType) -> list[Operation]:
    """The records of the operations that a module defines, in the order of the source."""
    found = [(name, record_of(value)) for name, value in vars(module).items()]
    return [record for name, record in found if record and record.function.__module__ == module.__name__]


_MODULES = (*KIND_MODULES.values(), output, updates, whole_data)

OPERATIONS: dict[str, Operation] = {record.name: record for module in _MODULES for record in _defined_in(module)}
"""Every operation by its name."""

CODES: dict[str, int] = {name: code for code, name in enumerate(OPERATIONS)}
"""The number of each in a program's table."""
