"""Jobs as they are at one moment: their rows, what memory knows of those that run, the line of those that wait."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from studio.jobs.estimates import Estimates
from studio.jobs.executor import LANES, Executor, Lane
from studio.jobs.job import Job
from studio.jobs.live import Live
from studio.store.database import AssetRow, JobRow, ResultRow


class Snapshots:
    def __init__(self) -> None:
        self.lock = threading.RLock()  # held only for memory and for reads, which WAL never blocks
        self.running: dict[str, Live] = {}
        self.estimates = Estimates()
        self.executor: Executor | None = None

    def resident(self, lane: Lane = "main") -> set[str]:
        """Families in memory where the lane runs."""
        state = self.executor.state() if self.executor else None
        state = state.light if state and lane == "light" else state
        return {each.family for each in state.residents} if state else set()

    def of(self, session: Session, rows: Sequence[JobRow]) -> list[Job]:
        assets: dict[str, list[str]] = {}
        made = select(AssetRow.job_id, AssetRow.id).where(
            AssetRow.job_id.in_([row.id for row in rows]), AssetRow.deleted_at.is_(None)
        )
        for job_id, asset_id in session.execute(made.order_by(AssetRow.index)):
            assets.setdefault(job_id, []).append(asset_id)
        counted = select(ResultRow.job_id, func.count()).where(ResultRow.job_id.in_([row.id for row in rows]))
        results = dict(session.execute(counted.group_by(ResultRow.job_id)).tuples().all())
        line = self._line(session) if any(row.status == "queued" for row in rows) else {}
        jobs = []
        for row in rows:
            position, eta = line.get(row.id, (None, None))
            job = Job(
                id=row.id,
                owner=row.owner,
                capability=row.capability,
                family=row.family,
                request=row.request,
                source=row.source,
                status=row.status,  # pyright: ignore[reportArgumentType]  # written by this package only
                created_at=row.created_at,
                started_at=row.started_at,
                finished_at=row.finished_at,
                attempt=row.attempt,
                step=row.step,
                steps=row.steps,
                message=row.message,
                error=row.error,
                error_field=row.error_field,
                seconds=row.seconds,
                notes=tuple(row.notes),
                asset_ids=tuple(assets.get(row.id, ())),
                results=results.get(row.id, 0),
                position=position,
                eta_seconds=eta,
            )
            with self.lock:
                live = self.running.get(row.id)
                if live and row.status == "running":
                    job = replace(
                        job, step=live.step, steps=live.steps, message=live.message, eta_seconds=live.seconds_left()
                    )
            jobs.append(job)
        return jobs

    def _line(self, session: Session) -> dict[str, tuple[int, float | None]]:
        """Place and seconds until done of every queued job: what runs now in its lane, then everyone ahead, then
        itself. A small answer takes the light lane while the other is busy."""
        state = self.executor.state() if self.executor else None
        resident = {lane: self.resident(lane) for lane in LANES}
        ahead: dict[Lane, float | None] = {"main": 0.0, "light": 0.0}
        with self.lock:
            if state and state.status in ("starting", "stopped"):
                ahead["main"] = None  # nobody knows yet when the worker will be there
            for live in self.running.values():
                ahead[live.lane] = _sum(ahead[live.lane], live.seconds_left())
        beside = bool(state and state.light and state.light.status in ("ready", "busy")) and ahead["main"] != 0.0
        line = {}
        columns = in_line().with_only_columns(JobRow.id, JobRow.capability, JobRow.family, JobRow.work, JobRow.light)
        for position, row in enumerate(session.execute(columns), start=1):
            lane: Lane = "light" if row.light and beside else "main"
            own = self.estimates.of(session, row, bool(row.family) and row.family not in resident[lane])
            ahead[lane] = _sum(ahead[lane], own)
            resident[lane].add(row.family)
            line[row.id] = (position, ahead[lane])
        return line


def in_line() -> Select[JobRow]:
    """Who waits, next first: by priority, and first in, first out among equals."""
    return select(JobRow).where(JobRow.status == "queued").order_by(JobRow.priority.desc(), JobRow.number)


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other
