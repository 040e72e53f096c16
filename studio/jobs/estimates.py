"""How long a job will take: learned from past runs, then measured by its own steps."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from studio.store.database import JobRow

REMEMBERED_RUNS = 20
"""Past runs that an estimate is the median of."""


class Estimates:
    """Rates by capability and family, read from the table once and kept until a run adds to them."""

    def __init__(self) -> None:
        self._rates: dict[tuple[str, str], tuple[float, float | None, float]] = {}

    def forget(self, capability: str, family: str) -> None:
        """A run of these is over."""
        self._rates.pop((capability, family), None)

    def of(self, session: Session, row: JobRow | Row[str, str, str, float, bool], cold: bool) -> float | None:
        """Seconds this job will take, with the loading of its model when that is ``cold``; None without past runs."""
        key = (row.capability, row.family)
        if key not in self._rates:
            past = (
                select(JobRow.work, JobRow.seconds, JobRow.load_seconds)
                .where(JobRow.capability == row.capability, JobRow.family == row.family, JobRow.status == "done")
                .order_by(JobRow.number.desc())
                .limit(REMEMBERED_RUNS)
            )
            runs = [run for run in session.execute(past).all() if run.seconds is not None and run.work > 0]
            loads = [run.load_seconds for run in runs if run.load_seconds > 0]
            fixed, rate = line([(run.work, max(run.seconds - run.load_seconds, 0.0)) for run in runs])
            self._rates[key] = (fixed, rate, statistics.median(loads) if loads else 0.0)
        fixed, rate, load = self._rates[key]
        return None if rate is None else fixed + rate * row.work + (load if cold else 0.0)


def line(runs: Sequence[tuple[float, float]]) -> tuple[float, float | None]:
    """(seconds of any run, seconds of each unit of work) from (work, seconds) of past ones: the median slope between
    two runs and what it leaves (Theil 1950, Sen 1968), so that a short run does not make a long one look slow, nor one
    strange run all others. Without two amounts of work, or where more work took no longer, all is put down to the work.
    (0, None) without runs.
    """
    if not runs:
        return 0.0, None
    slopes = [
        (later - sooner) / (more - less)
        for (less, sooner), (more, later) in itertools.combinations(sorted(runs), 2)
        if more > less
    ]
    rate = statistics.median(slopes) if slopes else 0.0
    fixed = statistics.median(seconds - rate * work for work, seconds in runs)
    if rate <= 0 or fixed < 0:
        return 0.0, statistics.median(seconds / work for work, seconds in runs)
    return fixed, rate
