"""What is known about a job, and what is told while it changes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from studio.jobs.executor import WorkerState

Status = Literal["queued", "running", "done", "failed", "cancelled"]
ACTIVE: tuple[Status, ...] = ("queued", "running")


@dataclass(frozen=True)
class Job:
    """What is known about a job at one moment."""

    id: str
    owner: str
    capability: str
    family: str
    request: dict[str, Any]
    """The prepared request: seed and every default are filled in."""
    source: str
    status: Status
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    attempt: int
    """How often it was started; more than 1 after a worker was lost. An end of the server does not count."""
    step: int
    steps: int
    message: str
    error: str | None
    error_field: str | None
    seconds: float | None
    """Wall time of the attempt that finished."""
    notes: tuple[str, ...]
    asset_ids: tuple[str, ...]
    results: int
    """How many records it has given so far; `Jobs.results` has them."""
    position: int | None
    """1-based place in line while queued."""
    eta_seconds: float | None
    """Seconds until it is done, learned from past runs and from its own steps; None while unknown."""

    @property
    def terminal(self) -> bool:
        return self.status not in ACTIVE


@dataclass(frozen=True)
class JobEvent:
    job: Job
    kind: Literal["state", "progress", "output"]
    preview: bytes | None = None
    """A small WebP of the picture so far."""


@dataclass(frozen=True)
class WorkerEvent:
    """The worker is in another state than before: ready, busy, other models in memory, something to say."""

    state: WorkerState
