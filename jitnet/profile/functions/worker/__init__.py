"""The worker process that runs the user's function. It imports nothing that changes Numba's settings.

__main__.py        from the request to the reply       measuring.py      compiles, checks, calls and samples it
observers.py       installed before its code is loaded reply.py          all results as JSON
subject.py         finds the function, under any decorator
calls.py           calls that all do the same work     values.py         arguments as text and for formulas
compiled.py        what the compiler made of it        diagnostics.py    lines of the user's files, hints at them
symbols.py         names and addresses of machine code, and the map that perf reads
warned.py          what Numba itself warns of          hardware.py       the processor's counters
mentions.py        what a function's code names        copies.py         changed copies of functions

where.py           where a call's time goes            line_sampler.py   samples every thread, many times a second
sampled_copy.py    a copy with a line table            stacks.py         what a sample says
addresses.py       what is at an address               source_rows.py    rows of loops and callees, and their shares
elf.py, dwarf.py   object files, and their lines

counting.py        FLOP and bytes of each loop         counters.py       a copy that counts them, with counter_code.py
counter_hooks.py   puts the counters into what is compiled

thread_clock.py    each thread's time in a region      regions.py        times and hints from these
flags.py           denormal numbers

outcomes.py        what a call returned and wrote      differences.py    how two outcomes differ
same_results.py    for a trial: is it rounding         agreement.py      for --compare: is it equal to the last bit

checks.py          whether results are right           child.py          a process that may crash
overruns.py        where an index is out of bounds     interpreted.py    a run without the compiler
fast_numbers.py    whether fastmath changes results    containers.py     arguments that grow or have a state
races.py           races, by code, run and results     shared_writes.py  a run that watches parallel iterations
watched.py         values that report each access

trials.py          whether a hint's remedy helps       remedies.py       what can be changed for each kind of hint
rewrites/          changes of the source               fixes.py          what helps, as a diff
pairs.py           two calls in turn                   side_by_side.py   two functions in turn, for --compare
variants.py        the second of these, with other options or from another folder
module_members.py  the compiled functions of a module

summary.py         what is known of a function         typed_code.py     reads it, statement by statement
typed_function.py  its names and loops, as Numba types them
bounds.py          the range of an index               sums.py           sums whose order is fixed
container_accesses.py  lists, dictionaries and sets
race_suspects.py   elements that several iterations may write
carried.py         variables that a parallel loop carries on
"""
