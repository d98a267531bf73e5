"""A route says what it costs and takes where it is declared, or the app does not start."""

from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from catdog.hub.models import LoadedModel
from catdog.model.model import Model
from catdog.settings import Settings
from feedback.journal.journal import Journal
from tests.toy import encoded, picture
from web.api.routes import RestApi
from web.app import create_app
from web.route_table import UNKNOWN, Body, Cost, Entry, Routes, RouteTable


def test_an_app_with_a_route_that_has_no_entry_does_not_start(
    tmp_path: Path, toy_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = RestApi.routes

    def with_one_more(api: RestApi) -> Routes:
        routes = declared(api)
        routes.router.get("/new")(lambda: "new")
        return routes

    monkeypatch.setattr(RestApi, "routes", with_one_more)
    loaded = LoadedModel(Model.load(toy_folder), "folder")
    with Journal.open(tmp_path) as journal, pytest.raises(RuntimeError, match="GET /new is not in the route table"):
        create_app(Settings(data_dir=tmp_path), loaded, journal)


def test_a_route_that_writes_has_to_say_how_large_a_body_it_takes() -> None:
    with pytest.raises(TypeError, match="POST /page/new"):
        Routes(prefix="/page").add("POST", "/new", lambda: None)


def test_an_entry_is_found_by_method_and_path() -> None:
    routes, table, app = Routes(), RouteTable(), FastAPI()
    routes.add("POST", "/photo", lambda: None, cost=Cost.PREDICTION, body=Body.PICTURE)
    routes.add("GET", "/row/{row_id}", lambda row_id: row_id, cost=Cost.FEEDBACK)
    table.include(routes.entries)
    table.include({("POST", "/call/*"): Entry(Cost.EVENT, Body.SMALL)})
    app.include_router(routes.router)
    table.check(app.routes)
    assert table.find("POST", "/photo/") == Entry(Cost.PREDICTION, Body.PICTURE)
    assert table.find("GET", "/row/1").cost is table.find("HEAD", "/row/1").cost is Cost.FEEDBACK
    assert table.find("POST", "/call/classify").cost.allowance is Cost.PREDICTION
    assert table.find("GET", "/photo") == table.find("POST", "/photos") == UNKNOWN


@pytest.mark.parametrize("path", ["/predict", "/page/photo", "/page/frame", "/hf"])
def test_failed_predictions_are_counted_on_every_route(client: httpx.Client, path: str) -> None:
    def failed() -> int:
        body = client.get("/metrics", headers={"Accept": "application/json"}).json()
        assert isinstance(body["failed_requests"], int)
        return body["failed_requests"]

    before = failed()
    kind = {"Content-Type": "image/jpeg"}
    assert client.post(path, content=b"text", headers=kind).status_code == 422
    assert client.post(path, content=bytes(3_000_000), headers=kind).status_code == 413
    assert failed() == before + 2
    assert client.post(path, content=encoded(picture("red")), headers=kind).status_code == 200
    assert failed() == before + 2
