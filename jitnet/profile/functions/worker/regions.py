"""Parallel regions and each thread's time in them, from the clock's readings."""

import threading
from collections.abc import Callable, Sequence
from statistics import median

from jitnet.bench.figures import duration
from jitnet.profile.functions.hints import Kind
from jitnet.profile.functions.worker.diagnostics import Hints, JsonObject, place
from jitnet.profile.functions.worker.thread_clock import Entry

__all__ = ["ThreadTimes", "disturbed"]

PAYS = 0.8
"""Threads that bring a call below this share of its time on one are worth it, even in a short region."""

DISTURBED = 0.8
"""The share of its time for which a thread should at least have a core."""

MOST_SLICES = 10_000
"""Parts of regions in a timeline after which no call is added."""

UNEVEN, SHORT_SHARE, SHORT_S, CONCERNS = 0.2, 0.3, 1e-3, 0.02
"""When there is a hint: the busiest thread a fifth above the mean; a third of a region spent on starting and ending it,
where it has less than a millisecond of work; and in a region that has a fiftieth of the call's time."""


class ThreadTimes:
    """What the threads did in some calls.

    timed: for each call, its regions in wall-clock time. computed: for other calls, in CPU time, which stops while
    another program has the core. call_s: seconds of each timed call; began_s: when it began, on the same clock.
    threads: how many ran.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.timed: list[list[Entry]] = []
        self.computed: list[list[Entry]] = []
        self.call_s: list[float] = []
        self.began_s: list[float] = []

    def regions(
        self,
        place_of: Callable[[int], tuple[str, int]],
        counts: Sequence[tuple[int, int, list[float]]],
        hints: Hints,
    ) -> list[JsonObject]:
        """Return a description of each parallel loop, and add the hints that follow from its threads' times.

        place_of: the file and line of a loop, by the address of its body. counts: for each count of threads the
        count, the calls in a sample, and the seconds of each sample.
        """
        by_kernel, computed = _by_kernel(self.timed), _by_kernel(self.computed)
        numbers = self._thread_numbers()
        described = []
        for kernel, entries in by_kernel.items():
            file, line = place_of(kernel)
            busy = [0.0] * self.threads
            for entry in entries:
                for thread, begin, end in entry.shares:
                    if numbers[thread] < self.threads:
                        busy[numbers[thread]] += (end - begin) / len(entries)
            whole = _lower_quartile([entry.end_s - entry.begin_s for entry in entries])
            longest = _lower_quartile([_longest(entry) for entry in entries])
            lost = max(0.0, _lower_quartile([entry.end_s - entry.begin_s - _longest(entry) for entry in entries]))
            uneven = median(_unevenness(entry, self.threads) for entry in computed[kernel])
            starting = median(min(begin for _, begin, _ in entry.shares) - entry.begin_s for entry in entries)
            share = min(1.0, whole * len(entries) / len(self.timed) / max(median(self.call_s), 1e-9))
            described.append(
                {
                    "place": place(file, line),
                    "entries": len(entries) / len(self.timed),
                    "region_s": whole,
                    "busy_s": busy,
                    "starting_s": starting,
                    "uneven": uneven,
                }
            )
            if self.threads > 1 and share >= CONCERNS:
                reason = self._short(longest + lost, lost, share, counts)
                if reason:
                    part = share * lost / (longest + lost)
                    hints.add(Kind.SHORT_REGION, file, line, reason, "clock", share=part)
                elif uneven > UNEVEN:
                    reason = f"its busiest thread works {uneven:.0%} longer than the mean of {self.threads}: the "
                    reason += "others wait for it"
                    hints.add(Kind.UNEVEN, file, line, reason, "clock", share=share * uneven / (1 + uneven))
        return described

    def _short(
        self, whole_s: float, lost_s: float, share: float, counts: Sequence[tuple[int, int, list[float]]]
    ) -> str:
        """Return why a region is too short for its threads; "" where it is not."""
        one = [median(samples) for count, _, samples in counts if count == 1]
        many = [median(samples) for count, _, samples in counts if count == self.threads]
        pays = share > 0.5 and one and many and many[0] < PAYS * one[0]
        if whole_s - lost_s >= SHORT_S or lost_s <= SHORT_SHARE * whole_s or pays:
            return ""
        reason = f"starting and ending its threads takes {duration(lost_s)} of {duration(whole_s)}"
        if one and many and share > 0.5:
            reason += f"; the call takes {duration(many[0])} on {self.threads} threads and {duration(one[0])} on one"
        return reason

    def _thread_numbers(self) -> dict[int, int]:
        """Number the threads: the caller's is 0, the others follow in the order in which they first began."""
        seen: dict[int, int] = {}
        begins = sorted((begin, thread) for calls in self.timed for entry in calls for thread, begin, _ in entry.shares)
        main = threading.main_thread().ident
        ordered = dict.fromkeys(thread for _, thread in begins)
        for thread in sorted(ordered, key=lambda each: each != main):
            seen[thread] = len(seen)
        return seen

    def shares(self) -> list[JsonObject]:
        """Return for each thread and a mean call: busy, computing, waiting, starting, joining."""
        if not self.timed:
            return []
        numbers, calls = self._thread_numbers(), len(self.timed)
        names = ("busy_s", "computing_s", "waiting_s", "starting_s", "joining_s")
        rows: list[JsonObject] = [dict.fromkeys(names, 0.0) | {"thread": at} for at in range(self.threads)]
        for entry in (entry for entries in self.timed for entry in entries):
            first = min(begin for _, begin, _ in entry.shares)
            last = max(end for _, _, end in entry.shares)
            by_thread: dict[int, list[tuple[float, float]]] = {}
            for thread, begin, end in entry.shares:
                by_thread.setdefault(numbers[thread], []).append((begin, end))
            for row in rows:
                parts = by_thread.get(int(row["thread"]), [])
                busy = sum(end - begin for begin, end in parts)
                begins = min((begin for begin, _ in parts), default=first)
                row["busy_s"] += busy / calls
                row["starting_s"] += (begins - entry.begin_s) / calls
                row["waiting_s"] += max(0.0, last - begins - busy) / calls
                row["joining_s"] += (entry.end_s - last) / calls
        for entry in (entry for entries in self.computed for entry in entries):
            for thread, begin, end in entry.shares:
                if numbers.get(thread, self.threads) < self.threads:
                    rows[numbers[thread]]["computing_s"] += (end - begin) / len(self.computed)
        return rows

    def timeline(self, place_of: Callable[[int], tuple[str, int]], most: int) -> list[JsonObject]:
        """Return at most so many calls with their begin, end and regions by thread, in seconds from the first begin."""
        numbers = self._thread_numbers()
        calls: list[JsonObject] = []
        for began, taken, entries in zip(self.began_s, self.call_s, self.timed, strict=False):
            first = calls[0]["origin_s"] if calls else began
            regions = [
                {
                    "place": place(*place_of(entry.kernel)),
                    "thread": numbers[thread],
                    "begin_s": begin - first,
                    "end_s": end - first,
                }
                for entry in entries
                for thread, begin, end in entry.shares
            ]
            calls.append({"origin_s": first, "begin_s": began - first, "end_s": began - first + taken})
            calls[-1]["regions"] = regions
            if len(calls) == most or sum(len(call["regions"]) for call in calls) > MOST_SLICES:
                break
        return calls

    def outside_s(self) -> float:
        """Return the seconds of a mean call outside its regions."""
        if not self.timed:
            return 0.0
        inside = sum(entry.end_s - entry.begin_s for entries in self.timed for entry in entries)
        return max(0.0, (sum(self.call_s) - inside) / len(self.call_s))


def disturbed(shares: Sequence[JsonObject]) -> str:
    """Return a line where the threads of `ThreadTimes.shares` had no core for much of their time; else ""."""
    busy, computing = (sum(row[name] for row in shares) for name in ("busy_s", "computing_s"))
    if computing >= DISTURBED * busy:
        return ""
    return (
        f"its threads had a core for {computing / busy:.0%} of their time: other programs are running, or it waits in "
        "its parallel loops; the times by thread are too long"
    )


def _by_kernel(calls: list[list[Entry]]) -> dict[int, list[Entry]]:
    found: dict[int, list[Entry]] = {}
    for entry in (entry for entries in calls for entry in entries):
        found.setdefault(entry.kernel, []).append(entry)
    return found


def _lower_quartile(values: list[float]) -> float:
    """Return the lower quartile: disturbances only add time."""
    return sorted(values)[len(values) // 4]


def _longest(entry: Entry) -> float:
    busy: dict[int, float] = {}
    for thread, begin, end in entry.shares:
        busy[thread] = busy.get(thread, 0.0) + end - begin
    return max(busy.values())


def _unevenness(entry: Entry, threads: int) -> float:
    total = sum(end - begin for _, begin, end in entry.shares)
    return _longest(entry) / max(total / threads, 1e-9) - 1
