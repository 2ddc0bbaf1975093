"""A network, and the file that holds it."""

from jitnet.model.network import FILE_NAME, Model

__all__ = ["FILE_NAME", "Model"]
