"""The profile of a training step: real steps, with a clock around each line.

step_profile.py  what such a profile is           profiler.py   real steps, with the clock and without
scaling.py       counts of threads compared       roofline.py   each line under the machine's limits
export.py        what `--json` writes, and a timeline for Perfetto
"""
