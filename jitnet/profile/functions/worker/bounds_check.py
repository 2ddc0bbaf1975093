"""One call with every index checked: where a crash was, this finds the line."""

from typing import Any

from jitnet.profile.functions.worker.diagnostics import JsonObject

__all__ = ["check_bounds", "name_lines"]


def name_lines() -> None:
    """From now on, let the error of a checked index name the line of the statement; Numba's names none."""
    from jitnet.compiler.numba_parts import CallConv, Lower

    lower, raising = Lower.lower_inst, CallConv.return_user_exc
    here: list[Any] = [None]

    def lower_inst(lowerer: Any, statement: Any) -> Any:
        here[0] = lowerer.loc
        return lower(lowerer, statement)

    def return_user_exc(
        self: Any, builder: Any, exception: Any, arguments: Any = None, loc: Any = None, func_name: Any = None
    ) -> Any:
        if exception is IndexError and loc is None and here[0] is not None:
            loc, func_name = here[0], func_name or "?"
        return raising(self, builder, exception, arguments, loc, func_name)

    Lower.lower_inst = lower_inst
    CallConv.return_user_exc = return_user_exc


def check_bounds(request: JsonObject) -> JsonObject:
    """Call the function once, compiled with checks by NUMBA_BOUNDSCHECK; raises IndexError where an index is wrong."""
    from jitnet.compiler.numba_parts import Dispatcher, copy_dispatcher
    from jitnet.profile.functions.worker.subject import arguments_of, find
    from jitnet.profile.users.built_ufuncs import remember_ufuncs

    name_lines()
    remember_ufuncs()
    subject = find(request["target"])
    arguments = arguments_of(subject, request)
    if isinstance(subject.call, Dispatcher):
        # Indices in the bodies of parallel loops are checked only where these run serially.
        serial = copy_dispatcher(subject.call)
        serial.targetoptions["parallel"] = False
        serial(*arguments)
    else:
        subject.call(*arguments)
    return {}
