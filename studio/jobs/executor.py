"""What the queue asks of whoever runs its jobs. The executors themselves are in `studio.worker`."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from studio.models.families import Hardware
from studio.models.spec import Resident

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Lane = Literal["main", "light"]
"""Two jobs may run at once: one that has the accelerator, and beside it a small answer on the processor."""
LANES: tuple[Lane, ...] = ("main", "light")


@dataclass(frozen=True)
class WorkerState:
    status: Literal["starting", "ready", "busy", "stopped"]
    pid: int | None = None
    device: str = ""
    hardware: Hardware | None = None
    residents: tuple[Resident, ...] = ()
    message: str = ""
    """One sentence for the user when there is something to say: a model being loaded, a worker that does not start."""
    last_beat: float | None = None
    """``time.time()`` of the last sign of life."""
    restarts: int = 0
    light: WorkerState | None = None
    """Of the light lane; None while it has not been needed, and in the light lane's own state."""


class Executor(Protocol):
    def start(self) -> None: ...

    def stop(self) -> None:
        """Come to rest; a job that was running is given back to the queue."""
        ...

    def submitted(self) -> None:
        """There is something in the queue."""
        ...

    def cancel(self, job_id: str) -> None:
        """Stop a running job at its next step."""
        ...

    def command(self, op: Literal["load", "unload"], family: str) -> None:
        """Load or unload a family between two jobs; `state` tells how it goes."""
        ...

    def read(self, family: str, texts: Sequence[str]) -> Future[NDArray[np.float32]]:
        """Unit vectors [texts, d] of words somebody waits for; no job, no row. Beside a drawing where the model fits
        the light lane, else as soon as the accelerator is free. Fails with a `StudioError`."""
        ...

    def state(self) -> WorkerState: ...
