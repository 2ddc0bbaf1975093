"""Several runs that belong together: sweeps, cross-validation, committees.

work.py    one run to train, training it in any process, and what it ends with
engine.py  what every engine offers that runs works, and the events that it reports
local.py   an engine: worker processes on this machine
worker.py  what such a worker process does
"""
