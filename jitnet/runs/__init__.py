"""Runs: what one is made from, training it, and the folder that it leaves behind.

run_settings.py  what a run is made from: data, recipe, fields of the network and of the training
starting_model.py  a network that starts from a saved one
run_training.py  training one into its folder
time_limit.py    fitting one into a time
dry_run.py       how long one would take, and how much memory
folder.py        the folder: config.json, metrics.jsonl, the model
documents.py     what these hold, as JSON
"""

from jitnet.runs.documents import as_json, record
from jitnet.runs.folder import CONFIG, METRICS, MODEL, Run, check_free, claim, create

__all__ = ["CONFIG", "METRICS", "MODEL", "Run", "as_json", "check_free", "claim", "create", "record"]
