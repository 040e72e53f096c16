"""Who is turned away at the door: one table of requests over the API, the page and the framework that carries it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from gradio.routes import App
from starlette.routing import Mount

from studio import Studio
from studio.errors import StudioError
from studio.server import create_app
from studio.settings import Settings
from studio.ui import framework

USER = "local"
BASE = "http://localhost:7860"
PROXY = "10.1.2.3"
JOIN = {"data": [], "fn_index": 0, "session_hash": "abc"}


def settings_in(folder: Path, **more: Any) -> Settings:
    return Settings(data_dir=folder, min_free_disk_mb=0, watermark=False, executor="inprocess", max_upload_mb=1, **more)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    studio = Studio(
        settings_in(tmp_path_factory.mktemp("data"), allowed_hosts="a.example", trusted_proxies=f"{PROXY}/32"),
        capabilities="tests.probe:ALL",
        preload=False,
    )
    studio.start()
    yield studio
    studio.stop()


@pytest.fixture(scope="module")
def app(running: Studio) -> FastAPI:
    """The page and the API, as `serve` puts them on a port."""
    return create_app(running, user=USER)


@pytest.fixture(scope="module")
def client(app: FastAPI) -> TestClient:
    return TestClient(app, base_url=BASE, raise_server_exceptions=False, follow_redirects=False)


def framework_of(app: FastAPI) -> App:
    confined: Any = next(each.app for each in app.routes if isinstance(each, Mount) and each.path == "")
    return confined._app


@dataclass(frozen=True)
class Try:
    """A request, and what becomes of it."""

    status: int | tuple[int, ...]
    path: str = "/api/v1/jobs"
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes | None = None
    says: str = ""

    def __str__(self) -> str:
        return f"{self.method} {self.path[:40]} {self.headers}"[:110]


def post(status: int | tuple[int, ...], path: str = "/api/v1/gallery/delete", **headers: str) -> Try:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Try(status, path, "POST", {"Content-Type": "application/json", **named}, b'{"ids": ["x"]}')


NAMES = [
    *(
        Try(200, headers={"Host": host})
        for host in (
            "localhost",
            "LOCALHOST:7860",
            "127.0.0.1:7860",
            "[::1]:7860",
            "a.example",
            "a.example:443",
        )
    ),
    *(
        Try(403, headers={"Host": host}, says="STUDIO_ALLOWED_HOSTS")
        for host in (
            "evil.example",
            "evil.example:7860",
            "evil.example\\@127.0.0.1",
            "evil.example@127.0.0.1",
            "127.0.0.1@evil.example",
            "127.0.0.1:7860/evil.example",
            "127.0.0.1#evil.example",
            "127.0.0.1?evil.example",
            "127.0.0.1, evil.example",
            "127.0.0.1\tevil.example",
            "[::1]evil.example",
            "http://127.0.0.1",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            "localhost:",
            "",
            "[",
            "192.0.2.1",
        )
    ),
    Try(403, "/", headers={"Host": "evil.example"}),
    Try(200, "/healthz", headers={"Host": "evil.example"}),
]
ORIGINS = [
    post(200),
    post(200, Origin=BASE),
    post(200, Origin=BASE, Sec_Fetch_Site="same-origin"),
    post(200, Sec_Fetch_Site="none"),
    post(200, Origin="https://localhost", Host="localhost"),  # TLS ended in front
    post(200, Origin="https://a.example", Host="a.example"),
    *(
        post(403, Origin=origin)
        for origin in (
            "https://evil.example",
            "null",
            "",
            "http://localhost:3000",
            "http://localhost",
            "http://127.0.0.1:7860",
            "http://127.0.0.1:3000",
            "http://localhost:7860.evil.example",
            "http://localhost:7860@evil.example",
            "file://",
            "https://a.example",
        )
    ),
    post(403, Sec_Fetch_Site="cross-site"),
    post(403, Sec_Fetch_Site="same-site"),
    post(403, Sec_Fetch_Site="cross-site", Origin=BASE),
    post(403, "/gradio_api/queue/join", Origin="http://localhost:3000"),
    post(403, "/gradio_api/component_server/", Origin="http://127.0.0.1:3000"),
    post(403, "/gradio_api/upload", Origin="http://localhost:3000"),
]
INCLUDED = [
    *(
        Try(status, path, headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": kind})
        for path in ("/api/v1/gallery", "/")
        for status, site, mode, kind in (
            (403, "cross-site", "no-cors", "image"),
            (403, "cross-site", "cors", "empty"),
            (403, "same-site", "no-cors", "script"),
            (403, "cross-site", "navigate", "iframe"),
            (403, "cross-site", "navigate", "object"),
            (200, "cross-site", "navigate", "document"),
            (200, "same-origin", "cors", "empty"),
            (200, "none", "navigate", "document"),
        )
    ),
    Try(403, "/gradio_api/file=x.png", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}),
    Try(403, "/api/v1/events", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}),
]
CLOSED = [
    *(
        Try(404, path)
        for path in (
            "/monitoring",
            "/monitoring/summary",
            "/config",
            "/config/",
            "/docs",
            "/openapi.json",
            "/login_check",
            "/logout",
            "/robots.txt",
            "/manifest.json",
            "/pwa_icon",
            "/svelte/x.js",
            "/gradio_api/info",
            "/gradio_api/openapi.json",
            "/gradio_api/deep_link",
            "/gradio_api/queue/status",
            "/gradio_api/stream/a/b/c/playlist.m3u8",
            "/gradio_api/runs",
            "/gradio_api/user",
            "/gradio_api/token",
            "/gradio_api/vibe-code",
            "/gradio_api/call/act/1",
            "/gradio_api/proxy=http://127.0.0.1:1/",
            "/gradio_api/file/etc/passwd",
            "/gradio_api/custom_component/1/client/component/x.js",
        )
    ),
    *(
        Try(404, path, "POST", {"Content-Type": "application/json"}, b"{}")
        for path in (
            "/login",
            "/gradio_api/run/act",
            "/gradio_api/api/act",
            "/gradio_api/call/act",
            "/gradio_api/call/v2/act",
            "/gradio_api/stream/1",
            "/gradio_api/stream/1/close",
            "/gradio_api/process_recording",
            "/gradio_api/vibe-edit",
            "/gradio_api/undo-vibe-edit",
        )
    ),
    Try(404, "/", "PUT"),
    Try(404, "/", "OPTIONS"),
]
LARGE = [
    Try(413, path, "POST", {"Content-Type": "application/json"}, b" " * 1_000_001, says="1 MB")
    for path in ("/api/v1/gradient", "/gradio_api/queue/join", "/gradio_api/component_server/", "/gradio_api/cancel")
] + [
    Try(413, "/gradio_api/upload", "POST", {"Content-Type": "multipart/form-data; boundary=b"}, bytes(1_200_000)),
    Try(413, "/api/v1/uploads", "POST", {}, bytes(1_000_001)),
    Try(415, "/gradio_api/component_server/", "POST", {"Content-Type": "multipart/form-data; boundary=b"}, b"--b--"),
]


@pytest.mark.parametrize("row", [*NAMES, *ORIGINS, *INCLUDED, *CLOSED, *LARGE], ids=str)
def test_the_door(client: TestClient, row: Try) -> None:
    answer = client.request(row.method, row.path, headers=row.headers, content=row.content)
    assert answer.status_code == row.status, answer.text[:300]
    if answer.status_code >= 400:
        assert set(answer.json()) == {"error", "field"}
        assert row.says in answer.json()["error"]
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert "object-src 'none'" in answer.headers["content-security-policy"]
    assert "frame-ancestors 'self'" in answer.headers["content-security-policy"]


def test_every_route_of_the_framework_is_known(app: FastAPI) -> None:
    """A newer framework with another route fails here, not in a studio."""
    inner = framework_of(app)
    paths = {getattr(each, "path", "").replace(":path}", "}") for each in inner.routes} | set(inner.openapi()["paths"])
    open_to = {path for path in paths if any(known.fullmatch(path) for known in framework.ROUTES.values())}
    assert open_to == {
        "/", "/static/{path}", "/assets/{path}", "/theme.css", "/favicon.ico", "/gradio_api/app_id",
        "/gradio_api/startup-events", "/gradio_api/theme.css", "/gradio_api/queue/data", "/gradio_api/queue/join",
        "/gradio_api/upload_progress", "/gradio_api/file={path_or_url}", "/gradio_api/component_server",
        "/gradio_api/component_server/", "/gradio_api/upload", "/gradio_api/cancel", "/gradio_api/reset",
        "/gradio_api/reset/",
    }  # fmt: skip


@pytest.mark.parametrize(
    "name", ["X-Forwarded-Host", "X-Gradio-Server", "Forwarded", "X-Forwarded-Proto", "X-Original-URL"]
)
def test_nobody_is_believed_to_be_a_proxy(client: TestClient, name: str) -> None:
    value = {"X-Gradio-Server": "https://evil.example", "X-Forwarded-Proto": "https"}.get(name, "evil.example")
    page = client.get("/", headers={name: value})
    assert page.status_code == 200
    assert "evil.example" not in page.text
    assert "https://localhost" not in page.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X-Forwarded-Host": "a.example", "X-Forwarded-Proto": "https", "Origin": "https://a.example"}, 200),
        ({"X-Forwarded-Host": "a.example", "X-Forwarded-Proto": "https", "Origin": "http://a.example"}, 403),
        ({"X-Forwarded-Host": "a.example", "X-Forwarded-Proto": "https", "Origin": BASE}, 403),
        ({"X-Forwarded-Host": "evil.example"}, 403),
        ({"X-Forwarded-Host": "a.example, evil.example"}, 200),
        ({"X-Forwarded-Host": "evil.example\\@a.example"}, 403),
    ],
    ids=str,
)
def test_a_named_proxy_is_believed(app: FastAPI, headers: dict[str, str], status: int) -> None:
    behind = TestClient(app, base_url=BASE, client=(PROXY, 1))
    answer = behind.post("/api/v1/gallery/delete", json={"ids": ["x"]}, headers=headers)
    assert answer.status_code == status
    if status == 200:
        page = behind.get("/", headers={"X-Forwarded-Host": "a.example", "X-Forwarded-Proto": "https"})
        assert '"root":"https://a.example"' in page.text.replace(" ", "")


def test_a_wrong_proxy_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="STUDIO_TRUSTED_PROXIES"):
        create_app(Studio(settings_in(tmp_path, trusted_proxies="proxy.example")), user=USER)


def test_another_site_cannot_change_anything(app: FastAPI, client: TestClient) -> None:
    unsafe = [
        (method, path.replace("{id}", "0" * 32))
        for path, methods in app.openapi()["paths"].items()
        for method in methods
        if method != "get"
    ]
    assert len(unsafe) >= 15
    for method, path in unsafe:
        answer = client.request(method, path, headers={"Origin": "http://127.0.0.1:7861"}, json={})
        assert answer.status_code == 403, path


@pytest.mark.parametrize("path", ["/api/v1/gradient", "/gradio_api/queue/join", "/gradio_api/component_server/"])
def test_a_body_of_unknown_length_is_cut_off(client: TestClient, path: str) -> None:
    def endless() -> Iterator[bytes]:
        yield b'{"prompt": "'
        for _ in range(200):
            yield b"x" * 10_000

    answer = client.post(path, content=endless(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert answer.json()["error"] == "The request is larger than 1 MB; send less."


def test_made_up_sessions_are_forgotten(app: FastAPI, client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = framework_of(app)
    monkeypatch.setattr(framework, "MOST_SESSIONS", 5)
    monkeypatch.setattr(inner.state_holder, "capacity", 5)
    header = next(id for id, block in inner.get_blocks().blocks.items() if hasattr(block, "act"))
    for place in range(20):
        asked = {"data": {"op": "no"}, "component_id": header, "fn_name": "act", "session_hash": f"made-up-{place}"}
        answer = client.post("/gradio_api/component_server/", json=asked)
        assert "reload" in answer.json()["error"]
        client.post("/gradio_api/queue/join", json={**JOIN, "session_hash": f"made-up-{place}"})
    queue = inner.get_blocks()._queue
    for table in (inner.state_holder.session_data, queue.pending_event_ids_session, queue.pending_messages_per_session):
        assert len(table) <= 5


def test_files_that_nobody_used_are_removed(app: FastAPI, running: Studio) -> None:
    folder = running.settings.data_dir / "temporary"
    with TestClient(app, base_url=BASE) as client:
        sent = client.post("/gradio_api/upload", files={"files": ("a.png", b"\x89PNG not really")})
        assert sent.status_code == 200
        (path,) = json.loads(sent.content)
        assert Path(path).is_relative_to(folder)
        framework.tidy(folder, 3600)
        assert Path(path).exists()
        framework.tidy(folder, -1)
        assert list(folder.rglob("*")) == []
        client.post("/gradio_api/upload", files={"files": ("b.png", b"\x89PNG not really")})
    end = time.monotonic() + 10
    while list(folder.rglob("*")):
        assert time.monotonic() < end
    (running.settings.data_dir / "temporary").mkdir(exist_ok=True)


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../studio.db", "..%2fstudio.db", "http://127.0.0.1:1/x", "file:///etc/passwd", "{data}/studio.db"],
)
def test_the_framework_gives_no_file_of_ours(client: TestClient, running: Studio, path: str) -> None:
    answer = client.get(f"/gradio_api/file={path.format(data=running.settings.data_dir)}")
    assert answer.status_code in (403, 404)
    assert b"root:" not in answer.content
    assert b"SQLite" not in answer.content
