"""Changes of a function's source that keep its meaning, each the remedy of a hint.

`rewrites` returns those that apply to a function for these types of arguments, and `build` makes the changed function
of one. Both only read: nothing of the user's is written.

rewriting.py         all rewrites of a function, and the function of a rewrite
function_source.py   its text, its tree, edits and diffs     expression_types.py  Numba's types of its expressions
liveness.py          variables that are still needed         function_reading.py  its variables, loops and sums
array_reading.py     its arrays, and what statements do      reading.py           a change from edits

loop_exchange.py     loops in an order that strides          loop_hoisting.py     what is the same in every iteration
powers.py            powers as products                      magnitudes.py        abs of complex numbers
reciprocals.py       products in the place of divisions      narrow_constants.py  constants in float32
sums_in_memory.py    out[i] += … in a variable               counted_loops.py     sums over an iterator by index
record_fields.py     an array for each field of records      unsigned_indices.py  indices without wraparound
"""

from jitnet.profile.functions.worker.rewrites.rewriting import Rewrite, build, rewrites

__all__ = ["Rewrite", "build", "rewrites"]
