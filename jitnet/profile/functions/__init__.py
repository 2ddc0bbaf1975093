"""The profile of any Numba function: how long, on which threads, why, and what to change.

The user's code is never imported by jitnet's process. A worker process loads, compiles and times it, and replies in
JSON; what goes wrong there becomes one line here.

function_profile.py  what such a profile is           profiling.py      asks the worker process, makes the profile
hints.py             the closed list of hints         machine_hints.py  hints from the machine code
arguments.py         `--args` as words and as arrays  formula.py        `--flop` and `--bytes`
tried.py             hints with what was tried        thresholds.py     how long, and what is worth reading

two_functions.py     two functions in turn             options.py        `--options`
watching.py          a function at each save           module_table.py   all functions of a module

library.py           `jitnet.profile(f, x)`            sending.py        functions and arguments, as files
shown.py             records as Python shows them      assertions.py     what a test asserts of a profile

worker/              the worker process
"""
