"""`jitnet bench`: what each loop costs on this machine, beside what the machine can do. Nothing here prints.

measurement.py   all cases of a network         limits.py   peak, bandwidth, going to the next region
timing.py        in one pot, in random order    lines.py    a row a line of the program
subject.py       the network at hand            steps.py    a whole step, a row a count of threads
records.py       what a measurement is          rungs.py    one product, from textbook to tile
comparison.py    against one kept in a file     blas.py     NumPy's BLAS, in its own process
options.py       what was asked for             document.py what `--json` prints
verdict.py       what binds a row                figures.py spreads, and times in words
"""
