"""The names of the files in a run folder, for those who write them and those who only look."""

__all__ = ["CHECKPOINTS", "CONFIG", "LOCK", "METRICS", "MODEL"]

CONFIG = "config.json"
METRICS = "metrics.jsonl"
MODEL = "model.safetensors"
CHECKPOINTS = "checkpoints"
LOCK = ".lock"
