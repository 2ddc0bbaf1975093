"""The names of the files in a run folder, for those who write them and those who only look."""

__all__ = ["CONFIG", "METRICS", "MODEL"]

CONFIG = "config.json"
METRICS = "metrics.jsonl"
MODEL = "model.safetensors"
