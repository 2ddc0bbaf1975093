"""`jitnet profile`: a training step with a clock round each line. Nothing here prints.

records.py       what a profile is              clock.py        the ring of times that the loop fills
measurement.py   real steps, with and without   verdict.py      what a region's threads cost
scaling.py       counts of threads side by side comparison.py   two profiles: faster or slower
trace.py         a timeline for Perfetto        document.py     what `--json` writes and `--compare` reads
"""
