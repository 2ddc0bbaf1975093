"""`jitnet bench`: what each loop costs on this machine, next to what the machine can do. Nothing here prints.

measurement.py   all cases of a network         limits.py   peak, bandwidth, going to the next region
timing.py        interleaved, in random order   lines.py    one row per line of the program
subject.py       the measured network           steps.py    a whole step, one row per count of threads
records.py       what a measurement is          rungs.py    one product, from textbook to tile
comparison.py    against one stored in a file   blas.py     NumPy's BLAS, in a separate process
options.py       parsing of options             document.py what `--json` prints
verdict.py       what a row is bound by
"""
