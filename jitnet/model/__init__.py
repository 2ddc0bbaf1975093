"""A network, and the file that holds it."""

from jitnet.model.file import FILE_NAME
from jitnet.model.network import Model

__all__ = ["FILE_NAME", "Model"]
