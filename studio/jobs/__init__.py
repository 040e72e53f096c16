"""The durable queue: submit, lease, progress, cancel, retry. Surfaces use `Jobs`, executors `Leases`. No torch here."""

from studio.jobs.executor import Executor, Lane, WorkerState
from studio.jobs.job import ACTIVE, Job, JobEvent, Status, WorkerEvent
from studio.jobs.lanes import LightLane
from studio.jobs.leases import MAX_LOSSES, MAX_LOSSES_THERE, MAX_STOPS, Leases
from studio.jobs.queue import Jobs
from studio.models.spec import Resident

__all__ = [
    "ACTIVE",
    "MAX_LOSSES",
    "MAX_LOSSES_THERE",
    "MAX_STOPS",
    "Executor",
    "Job",
    "JobEvent",
    "Jobs",
    "Lane",
    "Leases",
    "LightLane",
    "Resident",
    "Status",
    "WorkerEvent",
    "WorkerState",
]
