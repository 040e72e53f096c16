"""How long a job will take: learned from past runs, then measured by its own steps."""

from __future__ import annotations

import statistics

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from studio.store.database import JobRow

REMEMBERED_RUNS = 20
"""Past runs that an estimate is the median of."""


class Estimates:
    """Rates by capability and family, read from the table once and kept until a run adds to them."""

    def __init__(self) -> None:
        self._rates: dict[tuple[str, str], tuple[float | None, float]] = {}

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
            rates = [max(run.seconds - run.load_seconds, 0.0) / run.work for run in runs]
            loads = [run.load_seconds for run in runs if run.load_seconds > 0]
            self._rates[key] = (
                statistics.median(rates) if rates else None,
                statistics.median(loads) if loads else 0.0,
            )
        rate, load = self._rates[key]
        return None if rate is None else rate * row.work + (load if cold else 0.0)
