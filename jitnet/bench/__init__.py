"""`jitnet bench`: what each loop costs on this machine, beside what the machine can do. Nothing here prints.

measurement.py   all cases of a network          limits.py   peak, bandwidth, going to the next region
timing.py        in one pot, in random order     lines.py    a row a line of the program
workload.py      the network at hand             steps.py    a whole step, a row a count of threads
results.py       what a measurement is           rungs.py    one product, from textbook to tile
comparison.py    what `--json` prints, and against one kept in a file
verdict.py       what binds a row                blas.py     NumPy's BLAS, in its own process
figures.py       spreads, times in words, counts of threads
"""
