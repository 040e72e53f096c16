"""Finding pictures by what is on them: words, other pictures, both; the same twice; all of them on a map.

The server's side of it. Vectors of pictures are made by hidden jobs of the worker (``embed``) and kept in the database;
one thread here asks for those that are missing. Words are read by the executor without a job. Comparing needs no worker
and no torch. numpy and usearch are imported at the first question, not at the start of the server.
"""

from studio.search.answers import Found, Hit, Point, Status
from studio.search.search import Search

__all__ = ["Found", "Hit", "Point", "Search", "Status"]
