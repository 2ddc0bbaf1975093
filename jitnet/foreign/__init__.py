"""The profile of anybody's Numba function: how long, on which threads, why, and what to change. Nothing here prints.

The user's code is never imported by jitnet's own process. A child of its own loads, compiles and times it, and answers
in JSON; what goes wrong in it becomes one line here.

records.py       what such a profile is            hints.py         the closed list of hints
profiling.py     asks the child, makes the profile formula.py       `--flop` and `--bytes`
arguments.py     `--args` as words and as arrays

In the child alone, which knows no other room of jitnet, for Numba shall be as the user has it:

worker.py          from the request to the answer      measuring.py      calls it, and gathers all that follows
subject.py         finds the function, whatever made it
timing.py          calls that all do the same work     values.py         arguments in words and for formulas
compiled.py        what the compiler made of it        places.py         lines of the user's files, hints at them
symbols.py         names and addresses of machine code, and the map that perf reads

thread_clock.py    each thread's share of a region     regions.py        what the shares come to
flags.py           denormal numbers                    shared_writes.py  who writes what, in one thread that plays many

summary.py         what is known of a function         typed_code.py     reads it, statement after statement
typed_function.py  its names and loops, as Numba types them
bounds.py          how large an index can be           sums.py           sums whose order is kept
race_suspects.py   elements that several turns may write
"""
