"""The version of jitnet, by itself: whoever writes it into a file need not import the package."""

__all__ = ["__version__"]

__version__ = "0.1.0"
