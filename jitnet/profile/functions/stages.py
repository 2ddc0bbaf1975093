"""What the worker process says it is doing: how long that may take, and what a crash in it means."""

__all__ = ["danger_of", "has_called", "is_slow", "is_timed", "with_danger"]

DANGER = ", where "


def is_slow(stage: str) -> bool:
    """Whether what it does comes before a call, and may take minutes."""
    return stage.startswith(("starting", "loading", "making", "compiling"))


def is_timed(stage: str) -> bool:
    """Whether times are taken in it, which another process may disturb."""
    return not is_slow(stage) and not stage.startswith("checking")


def has_called(stage: str) -> bool:
    """Whether the function is called in it, or was called before."""
    return stage.startswith(("calling", "timing", "looking"))


def with_danger(stage: str, danger: str) -> str:
    """Return the text of a stage with what was found wrong before the first call, from which it may crash."""
    return f"{stage}{DANGER}{danger}"


def danger_of(stage: str) -> str:
    """Return what was found wrong, "" where nothing was."""
    return stage.partition(DANGER)[2]
