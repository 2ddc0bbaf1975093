"""A network, a committee of networks, and the file that holds either."""

from jitnet.model.any_model import AnyModel
from jitnet.model.committee import Committee, load_model
from jitnet.model.file import FILE_NAME
from jitnet.model.network import Model

__all__ = ["FILE_NAME", "AnyModel", "Committee", "Model", "load_model"]
