"""How loops are compiled: every kernel is built on this room, which knows no kernel and no processor.

surroundings.py  the environment and cores as the user has them
environment.py   what Numba reads from the environment, set before it is imported
cache.py         where compiled code is stored, and when it is not trusted
decorators.py    the four ways to compile a function, their options and why
intrinsics.py    instructions written by hand, and what their code may depend on
reference.py     many arrays passed as one pointer
switch.py        one call of any of several functions
signatures.py    Numba's types, and records with named fields
startup.py       a first start: two processes compile, and the user sees it
numba_parts.py   all uses of Numba's private interface
"""

import sys

if "numba" not in sys.modules:
    from jitnet.compiler import environment  # noqa: F401  (before anything that imports Numba)
# Otherwise Numba has read its settings already, and `cache` sets them for what is compiled later. A worker process that
# runs the user's code imports `numba_parts` from here, with the user's settings.
