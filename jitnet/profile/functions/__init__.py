"""The profile of any Numba function: how long, on which threads, why, and what to change.

The user's code is never imported by jitnet's process. A worker process loads, compiles and times it, and replies in
JSON; what goes wrong there becomes one line here.

function_profile.py  what such a profile is           profiling.py      a profile, from the request to the last hint
hint_records.py, time_records.py, count_records.py, places.py: its parts
worker_process.py    started, listened to, ended      read_reply.py     its reply, and counts.py: what it counted
stages.py            what it says it is doing         crashes.py        what is known where it does not reply
arguments.py         `--args` as words and as arrays  formula.py        `--flop` and `--bytes`
thresholds.py        how long, and what is worth reading

hints.py             the closed list of hints         machine_hints.py  hints from the machine code
container_calls.py   calls for lists and dictionaries
tried.py             hints with what was tried        hint_shares.py    the share of a call's time of a hint

two_functions.py     two functions in turn            options.py        `--options`
watching.py          a function at each save          module_table.py   all functions of a module

page.py              a page for a browser             page_source.py    its source, with times, instructions and hints
page_style.py        its style                        page_roofline.py  its roofline as a drawing
function_rates.py    GFLOP/s and bytes in words       function_roofline.py, function_trace.py: for the other pictures

library.py           `jitnet.profile(f, x)`           sending.py        functions and arguments, as files
shown.py             records as Python shows them     assertions.py     what a test asserts of a profile

worker/              the worker process
"""
