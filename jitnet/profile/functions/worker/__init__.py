"""The worker process that runs the user's function. It imports nothing that changes Numba's settings.

__main__.py        from the request to the answer      measuring.py      calls it, and gathers all that follows
subject.py         finds the function, whatever made it
calls.py           calls that all do the same work     values.py         arguments in words and for formulas
compiled.py        what the compiler made of it        diagnostics.py    lines of the user's files, hints at them
symbols.py         names and addresses of machine code, and the map that perf reads

thread_clock.py    each thread's share of a region     regions.py        what the shares come to
flags.py           denormal numbers                    shared_writes.py  who writes what, in one thread that plays many

summary.py         what is known of a function         typed_code.py     reads it, statement after statement
typed_function.py  its names and loops, as Numba types them
bounds.py          how large an index can be           sums.py           sums whose order is kept
race_suspects.py   elements that several iterations may write
"""
