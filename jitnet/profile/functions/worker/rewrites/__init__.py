"""Changes of a function's source that keep its meaning, each the remedy of a hint.

`rewrites` returns those that apply to a function for these types of arguments, and `build` makes the changed function of
one. Both only read: nothing of the user's is written.
"""

from jitnet.profile.functions.worker.rewrites.rewriting import Rewrite, build, rewrites

__all__ = ["Rewrite", "build", "rewrites"]
