"""Runs: what one is made from, training it, and the folder that it leaves behind.

run_settings.py  what a run is made from: data, recipe, fields of the network and of the training
run_training.py  training one into its folder
checkpoints.py   what is written while it trains, and when
resuming.py      going on with one that ended early
folder.py        the folder: config.json, metrics.jsonl, the model
documents.py     what these hold, as JSON
"""

from jitnet.runs.documents import as_json, record
from jitnet.runs.folder import CHECKPOINTS, CONFIG, LOCK, METRICS, MODEL, Run, cannot_write, claim, create, reopen

__all__ = [
    "CHECKPOINTS",
    "CONFIG",
    "LOCK",
    "METRICS",
    "MODEL",
    "Run",
    "as_json",
    "cannot_write",
    "claim",
    "create",
    "record",
    "reopen",
]
