"""Runs: what one is made from, training it, and the folder that it leaves behind.

run_settings.py  what a run is made from: data, recipe, fields of the network and of the training
starting_model.py  a network that starts from a saved one
run_training.py  training one into its folder
time_limit.py    fitting one into a time
dry_run.py       how long one would take, and how much memory
checkpoints.py   what is written while it trains, and when
resuming.py      going on with one that ended early
folder.py        the folder: config.json, metrics.jsonl, the model
listing.py       past runs, read from their folders without NumPy, and the one that a word names
run_comparison.py  several runs with their epochs, beside each other
evaluated_data.py  the data that a model is evaluated on
run_figure_data.py what a figure shows of a model beside its curves
event_files.py   event files for TensorBoard
documents.py     what these hold, as JSON
"""

from jitnet.runs.documents import as_json, record
from jitnet.runs.folder import (
    CHECKPOINTS,
    CONFIG,
    LOCK,
    METRICS,
    MODEL,
    Run,
    cannot_write,
    check_free,
    claim,
    create,
    reopen,
)

__all__ = [
    "CHECKPOINTS",
    "CONFIG",
    "LOCK",
    "METRICS",
    "MODEL",
    "Run",
    "as_json",
    "cannot_write",
    "check_free",
    "claim",
    "create",
    "record",
    "reopen",
]
