"""Running jobs: the processes that own the weights, the supervisor that keeps them alive, or both in one process."""

from studio.worker.inprocess import InProcessExecutor
from studio.worker.lane import Patience
from studio.worker.runner import find_capabilities
from studio.worker.supervisor import Supervisor

__all__ = ["InProcessExecutor", "Patience", "Supervisor", "find_capabilities"]
