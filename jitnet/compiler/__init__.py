"""How loops are compiled: the room that every kernel is built on, and that knows no kernel and no processor.

environment.py   what Numba reads from the environment, settled before it is imported
cache.py         where compiled code is kept, and when it is not trusted
decorators.py    the four ways to compile a function, their options and why
intrinsics.py    instructions written by hand, and what their code may depend on
reference.py     many arrays handed on as one pointer
switch.py        one call of any of several functions
signatures.py    Numba's types, and records with named fields
startup.py       a first start: two processes compile, and the user is told
numba_parts.py   all that is used of Numba beside its public interface
"""

import sys

if "numba" not in sys.modules:
    from jitnet.compiler import environment  # noqa: F401  (before anything that imports Numba)
# Else Numba has read its settings already, and who compiles settles them for what comes (`cache`). A worker process
# that runs the user's own code takes `numba_parts` from here, and keeps the user's settings.
