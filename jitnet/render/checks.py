"""Whether the results of a function are right, before anything about its speed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from jitnet.profile.paths import path_text
from jitnet.render.console import ACCENT, FAINT, WARN, facts, say

if TYPE_CHECKING:
    from jitnet.profile.functions.function_profile import Check

__all__ = ["checked", "failed_checks"]

TITLES = {"bounds": "An index is out of bounds", "races": "Threads use each other's data"}
"""What it means that a check of this name failed; the others compare results."""


def failed_checks(console: Console, checks: "Sequence[Check]") -> None:
    """Print the checks that failed, under what they show; nothing where none did."""
    failed = [check for check in checks if check.verdict == "failed"]
    for title in dict.fromkeys(map(_title, failed)):
        say(console, title, WARN)
        pairs: list[tuple[str, str | Text]] = []
        for check in failed:
            if _title(check) != title:
                continue
            pairs.append(("check", check.name))
            if check.place is not None:
                pairs.append(("at", f"{path_text(check.place.file)}:{check.place.line}"))
                if check.place.source:
                    pairs.append(("", Text(check.place.source, style=ACCENT)))
            pairs.append(("why", f"{check.reason}."))
        facts(console, pairs, indent=2)
    if failed:
        say(console, "All that follows is about a function whose results are wrong: correct that first.", FAINT)
        console.print()


def checked(checks: "Sequence[Check]") -> str:
    """Return in one sentence what was checked, and why the rest was not."""
    held = [
        f"{check.name} ({check.reason})" if check.reason else check.name for check in checks if check.verdict == "held"
    ]
    failed = [check.name for check in checks if check.verdict == "failed"]
    parts = [f"failed: {', '.join(failed)}"] if failed else []
    parts += [f"held: {', '.join(held)}"] if held else []
    parts += [f"not done: {check.name}, as {check.reason}" for check in checks if check.verdict == "not done"]
    return "; ".join(parts)


def _title(check: "Check") -> str:
    return TITLES.get(check.name, "The results differ")
