"""Several runs that belong together: sweeps, cross-validation, committees.

work.py        one run to train, training it in any process, and what it ends with
engine.py      what every engine offers that runs works, and the events that it reports
local.py       an engine: worker processes on this machine
worker.py      what such a worker process does
space.py       what a sweep searches: a file of settings with ranges and choices
sweep_plan.py  how its trials are chosen and scored, and its folder
sweep.py       the sweep: choosing trials, running them, and keeping what they scored
journal.py     where that is kept, in Optuna's format
pruning.py     when a trial is unpromising
importance.py  how much each setting mattered
"""
