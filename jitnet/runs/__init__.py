"""Runs: what one is made from, training it, and the folder that it leaves behind.

run_settings.py  what a run is made from: data, recipe, fields of the network and of the training
run_training.py  training one into its folder
folder.py        the folder: config.json, metrics.jsonl, the model
documents.py     what these hold, as JSON
"""

from jitnet.runs.documents import as_json, record
from jitnet.runs.folder import CONFIG, METRICS, MODEL, Run, claim, create

__all__ = ["CONFIG", "METRICS", "MODEL", "Run", "as_json", "claim", "create", "record"]
