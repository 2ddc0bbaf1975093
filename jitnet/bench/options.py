"""Options of `jitnet bench`, parsed from text."""

from jitnet.errors import UsageError

__all__ = ["parse_share", "parse_threads"]

EVERY_UP_TO = 4


def parse_threads(text: str | None, cores: int, affinity: int) -> tuple[int, ...]:
    """The counts that `--threads` names: "1,2,4", "all", or 1 and all cores where nothing is named; sorted.

    all: every count up to 4, then powers of two, and the number of cores. UsageError for what is not a count, or above
    the cores that this process may use.
    """
    if text is None:
        return tuple(sorted({1, cores}))
    if text.strip() == "all":
        powers = {2**power for power in range(cores.bit_length())}
        return tuple(sorted(count for count in {*range(1, EVERY_UP_TO + 1), *powers, cores} if count <= cores))
    counts = set()
    for part in text.split(","):
        if not part.strip().isascii() or not part.strip().isdigit() or not int(part):
            raise UsageError(
                f"--threads: expected all, or whole numbers from 1 to {affinity}, separated by commas, found {text!r}"
            )
        if int(part) > affinity:
            raise UsageError(f"--threads: {int(part)} is above the {affinity} cores that this process may use")
        counts.add(int(part))
    return tuple(sorted(counts))


def parse_share(text: str) -> float:
    """ "10%" or "10" as 0.1, for --fail-above; UsageError for anything but a percentage from 0 to 1000.

    A fraction, as 0.1 without a sign, is taken for a mistake.
    """
    try:
        percent = float(text.strip().removesuffix("%"))
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= 1000:
        raise UsageError(f"--fail-above: expected a percentage from 0 to 1000, 10% for example, found {text!r}")
    if 0 < percent < 1 and not text.strip().endswith("%"):
        raise UsageError(f"--fail-above {text.strip()} is below one percent; did you mean {100 * percent:g}%?")
    return percent / 100
