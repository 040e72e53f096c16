"""The studio below a path of another site, behind proxies that take the path off and behind those that leave it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urljoin

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from studio import Studio
from studio.server import create_app
from studio.settings import Settings

ROOT = "/team/studio"
SITE = "https://site.example"
PAGE = f"{SITE}{ROOT}/"


class Proxy:
    """Ends TLS, knows one path, and has nothing else; rewrites the Host, as proxies do unless told otherwise."""

    def __init__(self, app: ASGIApp, *, strips: bool) -> None:
        self.app = app
        self.strips = strips

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not scope["path"].startswith(ROOT):
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b"not the studio's"})
            return
        path = scope["path"].removeprefix(ROOT) or "/" if self.strips else scope["path"]
        told = [(b"x-forwarded-host", b"site.example"), (b"x-forwarded-proto", b"https"), (b"host", b"127.0.0.1:7860")]
        headers = [each for each in scope["headers"] if each[0] != b"host"] + told
        inside = {**scope, "path": path, "scheme": "http", "headers": headers, "client": ("10.0.0.9", 1)}
        await self.app(inside, receive, send)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("data"),
        min_free_disk_mb=0,
        executor="inprocess",
        root_path=ROOT,
        allowed_hosts="site.example",
        trusted_proxies="10.0.0.0/8",
    )
    studio = Studio(settings, capabilities="tests.probe:ALL", preload=False)
    studio.start()
    yield studio
    studio.stop()


@pytest.fixture(scope="module", params=[True, False], ids=["strips", "keeps"])
def client(studio: Studio, request: pytest.FixtureRequest) -> TestClient:
    app = create_app(studio, user="local")
    return TestClient(Proxy(app, strips=request.param), base_url=SITE, follow_redirects=False)


def links(html: str) -> set[str]:
    """Also those of tags that the framework's script adds to the page's head. It links to a manifest in any case."""
    plain = html.replace("\\u003c", "<").replace("\\u003e", ">").replace('\\"', '"')
    return set(re.findall(r'(?:src|href)="([^"#]+)"', plain)) - {"/manifest.json"}


def test_the_page_and_all_that_it_links_to_are_there(client: TestClient) -> None:
    page = client.get(f"{ROOT}/")
    assert page.status_code == 200
    assert f'"root":"{SITE}{ROOT}"' in page.text.replace(" ", "")
    found = {urljoin(PAGE, link) for link in links(page.text)}
    ours = {url for url in found if "/ui/" in url}
    assert ours and all(url.startswith(f"{PAGE}ui/") for url in ours)
    for url in sorted(found):
        assert client.get(url).status_code == 200, url


def test_the_documentation_is_there(client: TestClient) -> None:
    page = client.get(f"{ROOT}/api/docs")
    found = {urljoin(f"{PAGE}api/docs", link) for link in links(page.text)}
    assert len(found) >= 2
    for url in found | {f"{PAGE}api/openapi.json"}:
        assert client.get(url).status_code == 200, url
    assert f"{ROOT}/api/openapi.json" in page.text
    assert client.get(f"{ROOT}/api/openapi.json").json()["servers"] == [{"url": ROOT}]


def test_what_the_api_answers_leads_back_to_it(client: TestClient) -> None:
    headers = {"Origin": SITE, "Sec-Fetch-Site": "same-origin"}
    sent = client.post(f"{ROOT}/api/v1/gradient", json={"steps": 1}, headers=headers)
    assert sent.headers["location"].startswith(f"{ROOT}/api/v1/jobs/")
    job = client.get(f"{sent.headers['location']}?wait=60").json()
    told = client.get(f"{ROOT}/api/v1/pictures/{job['asset_ids'][0]}").json()
    assert client.get(told["url"]).status_code == 200
    assert client.get(told["thumbnail"]).status_code == 200
    assert client.post(f"{ROOT}/api/v1/gradient", json={}, headers={"Origin": "https://a.example"}).status_code == 403


def test_the_path_alone_leads_to_the_page(studio: Studio) -> None:
    app = create_app(studio, user="local")
    answer = TestClient(app, base_url="http://localhost", follow_redirects=False).get(ROOT)
    assert (answer.status_code, answer.headers["location"]) == (307, f"{ROOT}/")


def test_this_computer_may_leave_the_path_out(studio: Studio) -> None:
    client = TestClient(create_app(studio, user="local"), base_url="http://localhost")
    for path in ("/healthz", "/api/v1/jobs", f"{ROOT}/healthz", f"{ROOT}/api/v1/jobs"):
        assert client.get(path).status_code == 200, path


@pytest.mark.parametrize(("given", "root"), [("studio/", "/studio"), ("/a/b", "/a/b"), ("/", ""), ("", "")])
def test_a_root_path_is_written_in_one_way(given: str, root: str) -> None:
    assert Settings(root_path=given).root_path == root


@pytest.mark.parametrize("given", ["/a b", "/../x", "/a?b", "https://site.example/x"])
def test_a_root_path_that_is_none_is_refused(given: str) -> None:
    with pytest.raises(ValidationError):
        Settings(root_path=given)
