"""Creative Studio. `Studio` is the composition root: everything is built here and passed down; nothing is global."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studio.jobs import Executor, Jobs
    from studio.models.catalog import Catalog
    from studio.models.hub import Downloads
    from studio.search import Search
    from studio.settings import Settings
    from studio.store.database import Database
    from studio.store.gallery import Gallery
    from studio.store.library import Library
    from studio.store.words import Words

__version__ = "0.1.0"


class Studio:
    """One studio on one data folder. Imports no torch: models live in the worker.

    ``capabilities`` names them as ``package.module:NAME``, because the worker process has to find them too. ``preload``
    lets the worker import torch and load the default family before the first request asks for it.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        capabilities: str = "studio.capabilities:ALL",
        preload: bool = True,
    ) -> None:
        from studio.jobs import Jobs
        from studio.models.catalog import Catalog
        from studio.search import Search
        from studio.settings import Settings
        from studio.store.database import Database
        from studio.store.gallery import Gallery
        from studio.store.library import Library
        from studio.store.words import Words
        from studio.worker import InProcessExecutor, Supervisor, find_capabilities

        self.settings: Settings = settings or Settings()
        self.capabilities = {each.name: each for each in find_capabilities(capabilities)}
        self.database: Database = Database(self.settings)
        self.catalog: Catalog = Catalog(self.settings)
        self.gallery: Gallery = Gallery(self.settings, self.database)
        self.words: Words = Words(self.database)
        self.library: Library = Library(self.settings, self.database, self.gallery)
        self.jobs: Jobs = Jobs(
            self.settings, self.database, self.library, self.words, self.catalog, self.capabilities.values()
        )
        build = Supervisor if self.settings.executor == "process" else InProcessExecutor
        self.executor: Executor = build(self.settings, self.jobs, capabilities=capabilities, preload=preload)
        self.jobs.attach(self.executor)
        self.search: Search = Search(self.settings, self.database, self.library, self.catalog, self.jobs)

    @cached_property
    def downloads(self) -> Downloads:
        from studio.models.hub import Downloads

        changed = lambda: self.jobs.leases.worker(self.executor.state())  # noqa: E731
        return Downloads(self.settings, self.catalog, changed=changed)

    def start(self) -> None:
        """Lock and migrate the database, recover from the last end, start the executor. Raises `StudioError`."""
        self.database.open()
        try:
            self.gallery.tidy()
            self.library.tidy()
            self.jobs.recover()
            self.executor.start()
            if "embed" in self.capabilities:
                self.search.start()
        except BaseException:
            self.database.close()
            raise

    def stop(self) -> None:
        """Give back the running job, end the event streams, release the data folder."""
        self.search.stop()
        self.executor.stop()
        self.jobs.close()
        self.database.close()
