"""Whatever is sent, nothing crashes: generated requests over REST and over the page's own operations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.result import Ok

from studio import Studio
from studio import ui as page
from studio.api import create_api
from studio.settings import Settings
from studio.ui.operations import MODELS

BASE = "http://localhost:7860"
HOST = {"Host": "localhost:7860"}
UNHURRIED = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
FUZZ = settings(max_examples=5, deadline=None, database=None, derandomize=True, suppress_health_check=UNHURRIED)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio that takes every request and runs none: what is asked of models is not this test's business."""
    folder = tmp_path_factory.mktemp("data")
    patch = pytest.MonkeyPatch()
    patch.setattr("studio.search.search.WAIT_SECONDS", 0.01)
    studio = Studio(Settings(data_dir=folder, min_free_disk_mb=0, executor="inprocess", max_queued_jobs=10_000))
    patch.setattr(studio.executor, "read", lambda family, texts: Future())  # words that a worker would read
    studio.database.open()
    yield studio
    studio.jobs.close()
    studio.database.close()
    patch.undo()


@pytest.fixture(scope="module")
def app(running: Studio) -> FastAPI:
    return create_api(running, user="local")


def test_no_request_crashes_the_api(app: FastAPI) -> None:
    """Requests of every shape that the API's own description allows, and some that it does not."""
    document = schemathesis.openapi.from_asgi("/api/openapi.json", app, headers=HOST).exclude(path_regex="/events$")
    operations: list[Any] = [result.ok() for result in document.get_all_operations() if isinstance(result, Ok)]
    assert len(operations) >= 45
    for operation in operations:
        FUZZ(given(operation.as_strategy())(_check))()
        if operation.query or operation.body:  # what takes nothing cannot be given something wrong
            with suppress(Unsatisfiable):
                FUZZ(given(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))(_check))()


def _check(case: Any) -> None:
    answer = case.call(headers=HOST)
    told = json.loads(answer.content) if answer.content[:1] == b"{" else None
    if case.path == "/readyz":
        return
    assert answer.status_code < 500 or answer.status_code == 503, (case.as_curl_command(), answer.text)
    if answer.status_code == 503:
        assert "retry-after" in answer.headers
    if answer.status_code >= 400:
        assert told is not None and set(told) == {"error", "field"}, (case.as_curl_command(), answer.text)


@pytest.mark.parametrize(
    "url",
    [
        "jobs/{job}/results?after=99999999999999999999",
        "jobs/{job}/results?after=-99999999999999999999",
        "jobs/{job}?wait=nan",
        "jobs/{job}?wait=1e400",
        "gallery?since=0001-01-01T00:00:00%2B23:59",
        "gallery?until=9999-12-31T23:59:59-23:59",
        "gallery?since=0001-01-01",
        "gallery?until=9999-12-31T23:59:59Z",
        "gallery?since=-62135596800",
        "gallery?since=253402300799",
        "gallery?since=99999999999999999999",
        "gallery?before=0001-01-01T00:00:00%2B23:59~a",
        "gallery?before=9999-12-31T23:59:59-23:59~a",
        "gallery?before=~",
        "gallery?before=%00~%00",
        "gallery?text=%00",
        "gallery?text=%25%5C_",
        "gallery?limit=99999999999999999999",
        "search/duplicates?threshold=nan",
        "wildcards/%00",
        "jobs?capability=%00",
        "uploads?limit=99999999999999999999",
    ],
)
def test_numbers_and_dates_at_the_edge_of_their_types(app: FastAPI, running: Studio, url: str) -> None:
    client = TestClient(app, base_url=BASE, raise_server_exceptions=False)
    job = running.jobs.submit("text-to-image", {"prompt": "x"}, user="local").id
    answer = client.get(f"/api/v1/{url.format(job=job)}")
    assert answer.status_code in (200, 404, 422), answer.text


# -- the page's operations -----------------------------------------------------------------------------------------

HOSTILE = st.sampled_from(
    ["\ud800", "\x00", "0" * 32, "../../x", 10**30, -1, float("nan"), float("inf"), "9999-12-31T23:59:59-23:59~a", "~"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40) | HOSTILE,
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=5), inside, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def act(running: Studio) -> Any:
    """The page's own server function."""
    blocks: Any = page.build(running, "local").blocks.values()
    return next(block.act for block in blocks if hasattr(block, "act"))


@pytest.mark.parametrize("op", sorted(set(MODELS) - {"fetch"}))  # which would go out and download
def test_no_operation_of_the_page_crashes(act: Any, op: str) -> None:
    fields = [field.alias or name for name, field in MODELS[op].model_fields.items()]

    @FUZZ
    @given(st.fixed_dictionaries({}, optional=dict.fromkeys([*fields, "unknown"], VALUES)))
    def run(data: dict[str, Any]) -> None:
        answer = act({"op": op, **data})
        json.dumps(answer)
        assert "went wrong" not in answer.get("error", "")

    run()


@pytest.mark.parametrize("data", [None, [], "x", 1, {}, {"op": None}, {"op": {"a": 1}}, {"op": "no"}])
def test_what_is_no_operation_is_told(act: Any, data: Any) -> None:
    assert "reload" in act(data)["error"]
