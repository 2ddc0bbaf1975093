"""The profile of a training step: real steps, with a clock round each line.

step_profile.py  what such a profile is           profiler.py   real steps, with the clock and without
scaling.py       counts of threads side by side   roofline.py   each line between arithmetic and memory
export.py        what `--json` writes, and a timeline for Perfetto
"""
