"""What became of a loop, in words."""

from jitnet.profile.code.code_view import Loop

__all__ = ["is_tile", "place_in_threads", "verdict", "whole_verdict"]


def verdict(loop: Loop) -> str:
    """Return what became of a loop: "vectorised ×8, 4 vectors an iteration", "not vectorised: why"."""
    if loop.gone == "deleted":
        return "deleted: nothing uses what it computes"
    if loop.gone:
        return f"{'became ' * loop.gone.startswith('a call')}{loop.gone}"
    if loop.unrolled == 0 and loop.main is None:
        return "fully unrolled"
    main = loop.main
    if loop.vectorised:
        text = f"vectorised ×{'at least ' * loop.scalable}{loop.width}"
        text += f", {loop.interleaved} vectors an iteration" if loop.interleaved > 1 else ""
    elif main is None:
        return ""
    elif main.innermost and is_tile(loop):
        text = f"in vectors as it is written, {main.counts.vector_bits} bits"
    elif main.innermost:
        text = "not vectorised" + (f": {loop.reason}" if loop.reason else "")
    else:
        return ""
    if main is not None and not loop.vectorised and main.iterations > 1:
        text += f"; unrolled ×{main.iterations}"
    return text


def is_tile(loop: Loop) -> bool:
    """Whether a loop has vectors that LLVM's loop vectoriser did not make: a tile, or packed neighbours."""
    counts = loop.counts
    packed = counts.fma_packed + counts.flop_packed
    scalar = counts.fma_scalar + counts.flop_scalar
    return not loop.vectorised and (packed > scalar or (counts.vector_bits > 128 and not counts.calls and not scalar))


def whole_verdict(loop: Loop) -> str:
    """Return the verdict, with which copy of a parallel loop it is about."""
    text = verdict(loop)
    where = place_in_threads(loop)
    return f"{where}: {text}" if where and text else text


def place_in_threads(loop: Loop) -> str:
    """Return which copy of a parallel loop this is, "" where there is one."""
    return {"body": "in each thread", "serial": "where it runs serially", None: ""}[loop.parallel]
