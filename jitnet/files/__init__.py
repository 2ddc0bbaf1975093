"""The files that the program writes: each whole or not at all."""

from jitnet.files.durable import write_whole, writing

__all__ = ["write_whole", "writing"]
