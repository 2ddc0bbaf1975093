"""`jitnet bench`: what each loop costs on this machine, next to what the machine can do. Nothing here prints.

measurement.py   all cases of a network          limits.py   peak, bandwidth, going to the next region
timing.py        interleaved, in random order    lines.py    one row per line of the program
workload.py      the measured network            steps.py    a whole step, one row per count of threads
results.py       what a measurement is           rungs.py    one product, from textbook to tile
comparison.py    what `--json` prints, and against one stored in a file
verdict.py       what a row is bound by          blas.py     NumPy's BLAS, in a separate process
factors.py       how many times as fast, with its range
figures.py       spreads, times in words, counts of threads
"""
