"""REST over a real studio: jobs, events, pictures, documentation, and who is turned away."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import time
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from studio import Studio
from studio.api import create_api
from studio.api.users import current_user
from studio.capabilities import ALL
from studio.media.images import write_png

USER = "local"
BASE = "http://localhost:7860"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """One studio with the probe capability for all tests; in-process, because these tests are about the surface."""
    from studio.settings import Settings

    data_dir = tmp_path_factory.mktemp("data")
    settings = Settings(
        data_dir=data_dir, min_free_disk_mb=0, watermark=False, executor="inprocess", allowed_hosts="a.example"
    )
    studio = Studio(settings, capabilities="tests.probe:ALL", preload=False)
    studio.start()
    yield studio
    studio.stop()


@pytest.fixture
def app(running: Studio) -> FastAPI:
    return create_api(running, user=USER)


@pytest.fixture
def client(app: FastAPI) -> TestClient:
    return TestClient(app, base_url=BASE, raise_server_exceptions=False)


def events(client: TestClient, id: str) -> list[tuple[str, dict[str, Any]]]:
    """(name, data) of a job's whole stream."""
    with client.stream("GET", f"/api/v1/jobs/{id}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        text = "".join(answer.iter_text())
    found = []
    for block in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


def finish(client: TestClient, **request: Any) -> dict[str, Any]:
    """The job, done."""
    answer = client.post("/api/v1/gradient", json=request)
    assert answer.status_code == 202, answer.text
    job = events(client, answer.json()["id"])[-1][1]["job"]
    assert job["status"] == "done", job
    return job


class TestJobs:
    def test_submit_answers_202_with_the_id_and_where_to_look(self, client: TestClient) -> None:
        answer = client.post("/api/v1/gradient", json={"steps": 2, "seed": 1})
        assert answer.status_code == 202
        assert set(answer.json()) == {"id"}
        assert answer.headers["location"] == f"/api/v1/jobs/{answer.json()['id']}"
        assert client.get(answer.headers["location"]).json()["id"] == answer.json()["id"]

    def test_events_begin_with_a_snapshot_carry_previews_and_end_with_the_job(self, client: TestClient) -> None:
        id = client.post("/api/v1/gradient", json={"steps": 8, "step_seconds": 0.15}).json()["id"]
        stream = events(client, id)
        assert stream[0][0] == "state"
        assert [data["job"]["status"] in ("done", "failed", "cancelled") for _, data in stream][:-1].count(True) == 0
        assert stream[-1][1]["job"]["status"] == "done"
        steps = [data["job"]["step"] for _, data in stream]
        assert steps == sorted(steps)
        previews = [data["preview"] for name, data in stream if name == "progress" and data["preview"]]
        head, _, body = previews[0].partition(",")
        assert head == "data:image/webp;base64"
        assert Image.open(io.BytesIO(base64.b64decode(body))).format == "WEBP"

    def test_events_of_a_finished_job_are_one_snapshot(self, client: TestClient) -> None:
        job = finish(client, steps=1)
        assert [(name, data["job"]["status"]) for name, data in events(client, job["id"])] == [("state", "done")]

    def test_cancel_stops_a_running_job(self, client: TestClient) -> None:
        id = client.post("/api/v1/gradient", json={"steps": 1000, "step_seconds": 0.05}).json()["id"]
        assert client.delete(f"/api/v1/jobs/{id}").status_code == 200
        assert events(client, id)[-1][1]["job"]["status"] == "cancelled"

    def test_the_same_key_returns_the_same_job(self, client: TestClient) -> None:
        headers = {"Idempotency-Key": f"key-{time.time_ns()}"}
        first = client.post("/api/v1/gradient", json={"steps": 1}, headers=headers)
        again = client.post("/api/v1/gradient", json={"steps": 1}, headers=headers)
        other = client.post("/api/v1/gradient", json={"steps": 2}, headers=headers)
        assert first.json() == again.json()
        assert other.status_code == 409

    def test_the_list_is_newest_first(self, client: TestClient) -> None:
        made = [finish(client, steps=1)["id"] for _ in range(2)]
        assert [job["id"] for job in client.get("/api/v1/jobs?limit=2").json()] == made[::-1]
        assert client.get("/api/v1/jobs?active=true").json() == []

    def test_a_failed_job_says_why(self, client: TestClient) -> None:
        id = client.post("/api/v1/gradient", json={"fault": "refuse"}).json()["id"]
        job = events(client, id)[-1][1]["job"]
        assert (job["status"], job["error"], job["error_field"]) == (
            "failed",
            "The probe refuses: ask for no fault.",
            "fault",
        )

    @pytest.mark.parametrize("method", ["get", "delete"])
    @pytest.mark.parametrize("id", ["0" * 32, "x", "..%2f..%2fetc%2fpasswd", "%00"])
    def test_an_unknown_job_is_404(self, client: TestClient, method: str, id: str) -> None:
        answer = client.request(method, f"/api/v1/jobs/{id}")
        assert answer.status_code == 404
        assert client.get(f"/api/v1/jobs/{id}/events").status_code == 404


class TestPictures:
    def test_an_asset_is_served_byte_for_byte(self, client: TestClient, running: Studio) -> None:
        (id,) = finish(client, seed=5)["asset_ids"]
        answer = client.get(f"/api/v1/assets/{id}")
        assert answer.content == running.gallery.file(id, user=USER).read_bytes()
        assert answer.headers["content-type"] == "image/png"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "immutable" in answer.headers["cache-control"]
        assert "private" in answer.headers["cache-control"]
        assert "content-disposition" not in answer.headers
        saved = client.get(f"/api/v1/assets/{id}?download=1").headers["content-disposition"]
        assert saved == f'attachment; filename="gradient-5-{id[:8]}.png"'

    def test_a_thumbnail_is_a_small_webp(self, client: TestClient) -> None:
        (id,) = finish(client)["asset_ids"]
        thumbnail = Image.open(io.BytesIO(client.get(f"/api/v1/assets/{id}/thumbnail").content))
        assert thumbnail.format == "WEBP"
        assert max(thumbnail.size) <= 256

    def test_the_gallery_pages_and_filters(self, client: TestClient) -> None:
        ids = finish(client, prompt="violet unicorn", count=5, steps=1)["asset_ids"]
        query = {"text": "unicorn", "limit": "2"}
        seen: list[str] = []
        page = client.get("/api/v1/gallery", params=query).json()
        assert page["total"] == 5
        while True:
            seen += [asset["id"] for asset in page["assets"]]
            if not page["next"]:
                break
            page = client.get("/api/v1/gallery", params=query | {"before": page["next"]}).json()
        assert sorted(seen) == sorted(ids)
        assert client.get("/api/v1/gallery?capability=nothing").json()["total"] == 0
        assert client.get("/api/v1/gallery?model=starter&text=unicorn").json()["total"] == 5
        assert client.get("/api/v1/gallery?text=unicorn&since=2100-01-01T00:00:00Z").json()["total"] == 0

    def test_star_delete_and_restore(self, client: TestClient) -> None:
        first, second = finish(client, prompt="starred", count=2, steps=1)["asset_ids"]
        assert client.post("/api/v1/gallery/star", json={"ids": [first]}).json() == {"changed": 1}
        assert [asset["id"] for asset in client.get("/api/v1/gallery?text=starred&starred=true").json()["assets"]] == [
            first
        ]
        client.post("/api/v1/gallery/star", json={"ids": [first], "on": False})
        assert client.get("/api/v1/gallery?text=starred&starred=true").json()["total"] == 0
        assert client.post("/api/v1/gallery/delete", json={"ids": [first, second, "unknown"]}).json() == {"changed": 2}
        assert client.get("/api/v1/gallery?text=starred").json()["total"] == 0
        assert client.get("/api/v1/gallery?text=starred&deleted=true").json()["total"] == 2
        assert client.post("/api/v1/gallery/restore", json={"ids": [first]}).json() == {"changed": 1}
        assert client.get("/api/v1/gallery?text=starred").json()["total"] == 1

    def test_details_and_lineage(self, client: TestClient) -> None:
        (id,) = finish(client, prompt="alone", seed=3)["asset_ids"]
        asset = client.get(f"/api/v1/gallery/{id}").json()
        assert (asset["prompt"], asset["seed"], asset["parameters"]["capability"]) == ("alone", 3, "gradient")
        assert client.get(f"/api/v1/gallery/{id}/lineage").json() == {"parents": [], "uploads": [], "children": []}

    def test_a_picture_file_gives_its_settings_back(self, client: TestClient) -> None:
        png = write_png(Image.new("RGB", (8, 8)), {"prompt": "x", "seed": 4})
        found = client.post("/api/v1/parameters", content=png, headers={"Content-Type": "application/json"}).json()
        report = found.pop("report")
        assert found == {"prompt": "x", "seed": 4}
        assert (report["made_by"], report["values"]["seed"]) == ("Creative Studio", 4)
        assert {"prompt", "seed"} <= set(report["restored"])
        assert {"field": "model", "said": "", "why": "the picture does not say it, Starter is chosen"} in report[
            "not_restored"
        ]
        answer = client.post("/api/v1/parameters?capability=count-to", content=png)
        assert (answer.status_code, answer.json()["field"]) == (422, "capability")
        bare = client.post("/api/v1/parameters", content=write_png(Image.new("RGB", (8, 8)), {})[:33] + b"")
        assert bare.status_code == 422

    def test_another_user_sees_nothing_of_it(self, app: FastAPI, client: TestClient) -> None:
        job = finish(client, prompt="private")
        (id,) = job["asset_ids"]
        app.dependency_overrides[current_user] = lambda: "someone"
        for url in (
            f"assets/{id}",
            f"assets/{id}/thumbnail",
            f"gallery/{id}",
            f"gallery/{id}/lineage",
            f"jobs/{job['id']}",
        ):
            assert client.get(f"/api/v1/{url}").status_code == 404, url
        assert client.get(f"/api/v1/jobs/{job['id']}/events").status_code == 404
        assert client.delete(f"/api/v1/jobs/{job['id']}").status_code == 404
        assert client.post("/api/v1/gallery/delete", json={"ids": [id]}).json() == {"changed": 0}
        assert client.post("/api/v1/gallery/star", json={"ids": [id]}).status_code == 404
        assert client.get("/api/v1/gallery").json()["total"] == 0
        assert client.get("/api/v1/jobs").json() == []

    @pytest.mark.parametrize(
        "id",
        [
            "..",
            "../../studio.db",
            "..%2f..%2fstudio.db",
            "%2e%2e%2fstudio.db",
            "/etc/passwd",
            "a" * 5000,
            "%00",
            "C:\\x",
        ],
    )
    def test_no_path_reaches_a_file(self, client: TestClient, id: str) -> None:
        for url in (f"/api/v1/assets/{id}", f"/api/v1/assets/{id}/thumbnail"):
            assert client.get(url).status_code == 404


def png(colour: str, size: tuple[int, int] = (64, 48)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def hand_in(client: TestClient, content: bytes, name: str = "a.png", **headers: str) -> str:
    answer = client.post("/api/v1/uploads", params={"name": name}, content=content, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


class TestLibrary:
    def test_an_upload_is_served_as_it_came_and_never_as_a_page(self, client: TestClient) -> None:
        content = png("navy")
        id = hand_in(client, content, "Ümlaut.html", **{"Content-Type": "application/json"})
        answer = client.get(f"/api/v1/uploads/{id}")
        assert answer.content == content
        assert answer.headers["content-type"] == "image/png"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == "default-src 'none'"
        assert "content-disposition" not in answer.headers
        saved = client.get(f"/api/v1/uploads/{id}?download=1").headers["content-disposition"]
        assert saved == "attachment; filename*=utf-8''%C3%9Cmlaut.html"
        part = client.get(f"/api/v1/uploads/{id}", headers={"Range": "bytes=1-3"})
        assert (part.status_code, part.content) == (206, b"PNG")
        small = client.get(f"/api/v1/uploads/{id}/thumbnail")
        assert (small.headers["content-type"], small.headers["x-content-type-options"]) == ("image/webp", "nosniff")
        told = client.get(f"/api/v1/pictures/{id}").json()
        assert (told["name"], told["url"], told["is_clip"]) == ("Ümlaut.html", f"/api/v1/uploads/{id}", False)
        assert client.get("/api/v1/uploads?limit=1").json()[0]["id"] == id
        assert client.delete(f"/api/v1/uploads/{id}").json() == {"changed": 1}
        assert id not in [upload["id"] for upload in client.get("/api/v1/uploads").json()]
        assert client.post("/api/v1/uploads/restore", json={"ids": [id]}).json() == {"changed": 1}

    def test_bad_uploads_are_one_sentence(self, client: TestClient, running: Studio) -> None:
        for content in (b"", b"<script>alert(1)</script>"):
            answer = client.post("/api/v1/uploads?name=a.png", content=content)
            assert answer.status_code == 422
            assert "PNG, JPEG" in answer.json()["error"]
        much = bytes(running.settings.max_upload_mb * 1_000_000 + 1)
        assert client.post("/api/v1/uploads", content=much).status_code == 413

    def test_boards_and_checklists_are_made_changed_and_removed(self, client: TestClient) -> None:
        ids = [hand_in(client, png(colour)) for colour in ("red", "green")]
        board = client.post("/api/v1/boards", json={"name": "set", "pictures": ids[:1]}).json()
        assert (board["name"], board["count"]) == ("set", 1)
        url = f"/api/v1/boards/{board['id']}"
        assert client.post("/api/v1/boards", json={"name": "set"}).status_code == 409
        assert client.post(f"{url}/add", json={"pictures": ids}).json() == {"changed": 1}
        assert client.get(url).json()["pictures"] == ids
        assert client.post(f"{url}/remove", json={"pictures": ids[:1]}).json() == {"changed": 1}
        assert client.patch(url, json={"name": "other"}).json()["name"] == "other"
        assert [(each["name"], each["count"]) for each in client.get("/api/v1/boards").json()] == [("other", 1)]
        assert client.delete(url).status_code == 204
        assert client.get(url).status_code == 404

        body = {"name": "a/b", "questions": [{"question": "Whole?"}, {"question": "Text?", "want": False}]}
        assert client.post("/api/v1/checklists", json=body).json()["questions"][0] == {
            "question": "Whole?",
            "want": True,
        }
        assert len(client.get("/api/v1/checklists").json()[0]["questions"]) == 2
        assert client.delete("/api/v1/checklists/a%2Fb").status_code == 204
        assert client.get("/api/v1/checklists").json() == []
        bad = client.post("/api/v1/checklists", json={"name": "x", "questions": []})
        assert (bad.status_code, bad.json()["field"]) == (422, "questions")

    def test_many_pictures_are_told_of_at_once_and_come_as_one_archive(self, client: TestClient) -> None:
        contents = [png("red", (60, 40)), png("blue", (60, 40))]
        ids = [hand_in(client, content, "same.png") for content in contents]
        told = client.post("/api/v1/pictures", json={"pictures": [*ids, "f" * 32]}).json()
        assert [each["id"] for each in told["uploads"]] == ids
        assert told["assets"] == []
        packed = client.post("/api/v1/pictures/zip", json={"ids": ids})
        assert packed.headers["content-type"] == "application/zip"
        with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
            assert archive.namelist() == ["same.png", f"same-{ids[1][:6]}.png"]
            assert [archive.read(name) for name in archive.namelist()] == contents
        nothing = client.post("/api/v1/pictures/zip", json={"ids": ["f" * 32]})
        assert (nothing.status_code, set(nothing.json())) == (404, {"error", "field"})

    def test_styles_and_wildcards_are_kept_and_forgotten(self, client: TestClient) -> None:
        style = {"name": "ink/1", "prompt": "{prompt}, ink", "negative": "colour"}
        assert client.post("/api/v1/styles", json=style).json() == style
        assert client.get("/api/v1/styles").json() == [style]
        assert client.delete("/api/v1/styles/ink%2F1").status_code == 204
        assert client.get("/api/v1/styles").json() == []
        assert client.post("/api/v1/styles", json={"name": "empty"}).json()["field"] == "prompt"
        fruit = {"name": "fruit", "lines": ["apple", "pear"]}
        assert client.post("/api/v1/wildcards", json={"name": "fruit", "text": "apple\n\npear"}).json() == fruit
        assert client.get("/api/v1/wildcards").json() == ["fruit"]
        assert client.get("/api/v1/wildcards/fruit").json() == fruit
        assert client.post("/api/v1/wildcards", json={"name": "a b", "text": "x"}).json()["field"] == "name"
        assert client.delete("/api/v1/wildcards/fruit").status_code == 204
        assert client.get("/api/v1/wildcards/fruit").status_code == 404

    def test_records_come_as_json_and_as_csv_while_the_request_comes_once(self, client: TestClient) -> None:
        ids = [hand_in(client, png("#fe0000"), "=1+1"), hand_in(client, png("#0000fe"), "b.png")]
        id = client.post("/api/v1/look", json={"pictures": ids}).json()["id"]
        stream = events(client, id)
        assert stream[0][1]["job"]["request"]["pictures"] == ids
        assert [data["job"]["request"] for _, data in stream[1:]] == [{}] * (len(stream) - 1)
        assert stream[-1][1]["job"]["results"] == 2
        records = client.get(f"/api/v1/jobs/{id}/results").json()
        assert [(each["index"], each["colour"]) for each in records] == [(0, [254, 0, 0]), (1, [0, 0, 254])]
        assert client.get(f"/api/v1/jobs/{id}/results?after=0").json() == records[1:]
        table = client.get(f"/api/v1/jobs/{id}/results?format=csv")
        assert table.headers["content-type"].startswith("text/csv")
        assert table.headers["content-disposition"] == f'attachment; filename="look-{id[:8]}.csv"'
        rows = list(csv.DictReader(io.StringIO(table.content.decode("utf-8-sig"), newline="")))
        assert [(row["name"], row["colour.1"]) for row in rows] == [("'=1+1", "254"), ("b.png", "0")]
        assert client.get("/api/v1/jobs/x/results").status_code == 404

    def test_the_search_speaks_of_what_it_can_find(self, client: TestClient) -> None:
        status = client.get("/api/v1/search/status").json()
        assert set(status) == {"model", "embedded", "total", "kind", "note"}
        assert status["total"] >= status["embedded"]
        empty = client.post("/api/v1/search", json={})
        assert (empty.status_code, empty.json()["field"]) == (422, "text")
        assert client.post("/api/v1/search", json={"like": ["f" * 32]}).status_code == 404
        assert client.get("/api/v1/search/duplicates?threshold=2").json()["field"] == "threshold"
        assert isinstance(client.get("/api/v1/search/map").json(), list)

    def test_another_user_reaches_none_of_it(self, app: FastAPI, client: TestClient) -> None:
        upload = hand_in(client, png("gold"))
        board = client.post("/api/v1/boards", json={"name": "private", "pictures": [upload]}).json()["id"]
        job = client.post("/api/v1/look", json={"pictures": [upload]}).json()["id"]
        events(client, job)
        app.dependency_overrides[current_user] = lambda: "someone"
        for url in (
            f"uploads/{upload}",
            f"uploads/{upload}/thumbnail",
            f"pictures/{upload}",
            f"boards/{board}",
            f"jobs/{job}/results",
        ):
            assert client.get(f"/api/v1/{url}").status_code == 404, url
        assert client.delete(f"/api/v1/uploads/{upload}").status_code == 404
        assert client.delete(f"/api/v1/boards/{board}").status_code == 404
        assert client.post("/api/v1/look", json={"pictures": [upload]}).status_code == 404
        assert client.post("/api/v1/look", json={"board": board}).status_code == 404
        assert client.post("/api/v1/search", json={"like": [upload]}).status_code == 404
        for url in ("uploads", "boards", "checklists", "search/map", "search/duplicates"):
            assert client.get(f"/api/v1/{url}").json() == [], url
        assert client.get("/api/v1/search/status").json()["total"] == 0

    @pytest.mark.parametrize("id", ["..", "..%2f..%2fstudio.db", "%00", "a" * 5000, "A" * 32])
    def test_no_path_reaches_a_file_through_an_upload(self, client: TestClient, id: str) -> None:
        for url in (f"uploads/{id}", f"uploads/{id}/thumbnail", f"pictures/{id}", f"boards/{id}"):
            assert client.get(f"/api/v1/{url}").status_code == 404


class TestStudio:
    def test_models_say_what_is_here(self, client: TestClient, running: Studio) -> None:
        models = {model["id"]: model for model in client.get("/api/v1/models").json()}
        assert set(models) == {family.id for family in running.catalog.all()}
        assert [id for id, model in models.items() if model["default"]] == ["starter"]
        assert models["sdxl"]["available"] is False
        assert models["sdxl-turbo"]["commercial"] is False

    def test_probes(self, client: TestClient, running: Studio) -> None:
        assert client.get("/healthz").json()["status"] == "ok"
        assert client.get("/readyz").json() == {"ready": True, "problems": []}
        full = running.settings.model_copy(update={"min_free_disk_mb": 10**9})
        limited = Studio(full, capabilities="tests.probe:ALL")
        answer = TestClient(create_api(limited, user=USER), base_url=BASE).get("/readyz")
        assert answer.status_code == 503
        assert any("disk" in problem for problem in answer.json()["problems"])
        assert any("worker" in problem for problem in answer.json()["problems"])

    def test_every_capability_has_a_route_whose_body_is_its_request(self, launch: Callable[..., Studio]) -> None:
        studio = launch(capabilities="studio.capabilities:ALL", executor="inprocess")
        document = create_api(studio, user=USER).openapi()
        for capability in ALL:
            if capability.hidden:
                assert f"/api/v1/{capability.name}" not in document["paths"]
                continue
            body = document["paths"][f"/api/v1/{capability.name}"]["post"]["requestBody"]["content"]["application/json"]
            schema = document["components"]["schemas"][body["schema"]["$ref"].rsplit("/", 1)[1]]
            assert set(schema["properties"]) == set(capability.request.model_fields)
            assert schema["additionalProperties"] is False
            assert all("description" in field for field in schema["properties"].values())

    def test_the_documentation_needs_no_other_host(self, client: TestClient) -> None:
        page = client.get("/api/docs")
        linked = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert len(linked) >= 2
        for url in linked:
            assert url.startswith("/api/"), url
            assert client.get(url).status_code == 200
        assert "://" not in re.sub(r"<!--.*?-->", "", page.text)
        assert client.get("/api/openapi.json").json()["openapi"].startswith("3.")

    def test_a_crash_tells_nothing_about_the_inside(self, app: FastAPI, running: Studio) -> None:
        app.add_api_route("/api/v1/crash", lambda: 1 / 0)
        answer = TestClient(app, base_url=BASE, raise_server_exceptions=False).get("/api/v1/crash")
        assert answer.status_code == 500
        assert "ZeroDivision" not in answer.text
        assert "Traceback" not in answer.text
        assert set(answer.json()) == {"error", "field"}
