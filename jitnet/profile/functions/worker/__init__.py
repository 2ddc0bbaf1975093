"""The worker process that runs the user's function. It imports nothing that changes Numba's settings.

__main__.py        from the request to the reply       measuring.py      calls it, and collects all results
subject.py         finds the function, under any decorator
calls.py           calls that all do the same work     values.py         arguments as text and for formulas
compiled.py        what the compiler made of it        diagnostics.py    lines of the user's files, hints at them
symbols.py         names and addresses of machine code, and the map that perf reads

where.py           where a call's time goes            line_sampler.py   samples every thread, many times a second
sampled_copy.py    a copy with a line table            stacks.py         what a sample says
addresses.py       what is at an address               source_rows.py    rows of loops and callees, and their shares
elf.py, dwarf.py   object files, and their lines

thread_clock.py    each thread's time in a region      regions.py        times and hints from these
flags.py           denormal numbers

checks.py          whether results are right           outcomes.py       what a call returned and wrote, compared
child.py           a process that may crash            copies.py         copies of a function and all that it calls
overruns.py        where an index is out of bounds     interpreted.py    a run without the compiler
fast_numbers.py    whether fastmath changes results    containers.py     arguments that grow or have a state
races.py           races, by code, run and results     shared_writes.py  a run that watches parallel iterations
watched.py         values that report each access

side_by_side.py    two functions in turn               agreement.py       whether their results are equal
variants.py        the second, with other options or from another folder
module_members.py  the compiled functions of a module

summary.py         what is known of a function         typed_code.py     reads it, statement by statement
typed_function.py  its names and loops, as Numba types them
bounds.py          the range of an index               sums.py           sums whose order is fixed
race_suspects.py   elements that several iterations may write
carried.py         variables that a parallel loop carries on
"""
