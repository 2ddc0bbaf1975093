"""The user's functions as both worker processes see them: those that measure, and those that compile again.

built_ufuncs.py       ufuncs that Numba builds ahead      generators.py  a generator's values, taken in compiled code
compiled_classes.py   the methods of compiled classes     sent_types.py  types, from one worker process to another
callbacks.py          callbacks for C
"""
