"""What the page's own scripts ask for: answers to photos, addresses and frames, heat maps, texts, files."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import BaseModel, Field

from catdog.errors import UnknownRequestError
from catdog.model.metadata import possible_verdicts
from catdog.model.model import Prediction
from feedback.row import Source
from web.api.body import spooled_body
from web.i18n import Texts, choose_language
from web.page.examples import EXAMPLE_PATH, Examples
from web.page.html import CALIBRATION_PLOT, answer_html, ask_html
from web.route_table import Body, Cost, Routes
from web.service.heatmap import as_data_url
from web.service.lanes import whole
from web.service.service import Answer, Service

_STATIC = Path(__file__).with_name("static")
SCRIPTS = ("page", "answer", "camera", "early", "feedback", "gallery", "mine", "photo", "server")
_CACHED = {"Cache-Control": "public, max-age=3600"}
_REVALIDATED = {"Cache-Control": "no-cache"}
_ICONS = {"icon.svg": "image/svg+xml", "icon-192.png": "image/png", "icon-512.png": "image/png"}
_OF_VISITORS = (Source.UPLOAD, Source.WEBCAM, Source.CLIPBOARD)
_MAX_URL = 4096
_PAPER = "#fff7ed"

Flag = Annotated[bool, Query()]


class _Address(BaseModel):
    url: str = Field(min_length=1, max_length=_MAX_URL)


class _Explained(BaseModel):
    request_id: str = Field(max_length=64)


class PageApi:
    """Routes of the page, most of them below `/page`. They may change with it, and are not in the API's document."""

    def __init__(self, service: Service, examples: Examples, *, client_of: Callable[[Request], str]) -> None:
        self._client_of = client_of
        self._service = service
        self._examples = examples

    def routes(self) -> Routes:
        """All of them."""
        routes = Routes(include_in_schema=False)
        routes.add("POST", "/page/photo", self._photo, cost=Cost.PREDICTION, body=Body.PICTURE)
        routes.add("POST", "/page/url", self._url, cost=Cost.PREDICTION, body=Body.SMALL)
        routes.add("POST", "/page/frame", self._frame, cost=Cost.PREDICTION, body=Body.FRAME)
        routes.add("POST", "/page/why", self._why, cost=Cost.PREDICTION, body=Body.SMALL)
        routes.add("GET", "/page/texts.json", self._texts)
        routes.add("GET", "/page/calibration.png", self._calibration)
        routes.add("GET", f"{EXAMPLE_PATH}{{name}}", _example(self._examples.picture))
        routes.add("GET", "/page/thumbnail/{name}", _example(self._examples.thumbnail))
        routes.add("GET", "/manifest.json", self._manifest)
        routes.add("GET", "/favicon.ico", _file("favicon.ico", "image/x-icon"))
        routes.add("GET", "/page/preview.png", _file("preview.png", "image/png"))
        for name, kind in _ICONS.items():
            routes.add("GET", f"/page/{name}", _file(name, kind))
        for name in SCRIPTS:
            routes.add("GET", f"/page/{name}.js", _file(f"{name}.js", "text/javascript", fresh=True))
        return routes

    async def _photo(
        self, request: Request, source: Source = Source.UPLOAD, consent: Flag = False, preview: Flag = False
    ) -> JSONResponse:
        """Classify a photo, which is the body; it may be corrected by its `request_id`.

        With `preview` the picture comes back as a small JPEG, for browsers that cannot show the file.
        """
        origin = source if source in _OF_VISITORS else Source.UPLOAD
        async with spooled_body(request) as file:
            answer = await self._service.classify(
                whole(file), origin, client=self._client_of(request), preview=preview, consents=consent
            )
        return JSONResponse(self._shown(answer, _texts_of(request)))

    async def _url(self, request: Request, address: _Address, consent: Flag = False) -> JSONResponse:
        """Classify the picture at an address; it comes back as a small JPEG, for the page to show."""
        url, client = address.url.strip(), self._client_of(request)
        answer = await self._service.classify_url(url, client=client, preview=True, consents=consent)
        return JSONResponse(self._shown(answer, _texts_of(request)))

    async def _frame(self, request: Request) -> JSONResponse:
        """Classify a frame of the camera, which is the body; nothing of it is kept."""
        prediction = await self._service.classify_frame(await request.body(), client=self._client_of(request))
        return JSONResponse(_described(prediction, _texts_of(request)))

    async def _why(self, request: Request, explained: _Explained) -> JSONResponse:
        """Draw which areas of a photo spoke for the answer."""
        explanation = await self._service.explain(explained.request_id, client=self._client_of(request))
        texts = _texts_of(request)
        caption = texts.why_explained.format(label=texts.name(explanation.label))
        return JSONResponse({"layer": as_data_url(explanation.layer), "alt": texts.why_alt, "caption": caption})

    def _texts(self, request: Request) -> JSONResponse:
        """What the scripts show, in the visitor's language; `answers` is what a person may have said."""
        texts, labels = _texts_of(request), self._service.live.model.labels
        answers = {answer: texts.choice(answer, labels) for answer in possible_verdicts(labels)}
        vary = {"Vary": "Accept-Language, Cookie"}
        return JSONResponse({**texts.for_scripts, "answers": answers}, headers={**_REVALIDATED, **vary})

    def _manifest(self, request: Request) -> JSONResponse:
        """What makes the page installable."""
        texts = _texts_of(request)
        title = texts.title(self._service.live.model.labels)
        icons = [
            {"src": f"./page/icon-{side}.png", "sizes": f"{side}x{side}", "type": "image/png", "purpose": purpose}
            for side in (192, 512)
            for purpose in ("any", "maskable")
        ]
        manifest = {
            "name": title,
            "short_name": title,
            "description": texts.tagline,
            "lang": texts.language,
            "start_url": "./",
            "scope": "./",
            "display": "standalone",
            "background_color": _PAPER,
            "theme_color": _PAPER,
            "icons": icons,
        }
        headers = {**_REVALIDATED, "Vary": "Accept-Language, Cookie"}
        return JSONResponse(manifest, media_type="application/manifest+json", headers=headers)

    def _calibration(self) -> Response:
        folder = self._service.live.model.folder
        if folder is None or not (folder / CALIBRATION_PLOT).is_file():
            raise UnknownRequestError("This model has no calibration plot. Train it again to get one.")
        return FileResponse(folder / CALIBRATION_PLOT, media_type="image/png", headers=_REVALIDATED)

    def _shown(self, answer: Answer, texts: Texts) -> dict[str, Any]:
        """An answer as the page shows it: the card, what may be said about it, and the picture if it was asked for."""
        prediction = answer.prediction
        explains = self._service.live.model.explains
        picture = base64.b64encode(answer.preview).decode() if answer.preview else None
        return {
            "request_id": answer.request_id,
            "audit_receipt": answer.audit_receipt,
            "preview": picture,
            "card": answer_html(prediction, texts, request_id=answer.request_id),
            "ask": ask_html(prediction, texts, explains=explains),
            **_described(prediction, texts),
        }


def _described(prediction: Prediction, texts: Texts) -> dict[str, Any]:
    """A prediction for the scripts: for people in words, for the CSV in the model's labels."""
    labels = prediction.labels
    answers = possible_verdicts(labels)
    return {
        "label": prediction.label,
        "confidence": prediction.confidence,
        "probabilities": dict(zip(labels, prediction.probabilities, strict=True)),
        "verdict": prediction.verdict,
        "headline": texts.verdict(prediction.verdict, labels),
        "percent": texts.percent(prediction.confidence) if prediction.verdict.is_label else "",
        "choices": [[answer, texts.choice(answer, labels)] for answer in answers],
    }


def _texts_of(request: Request) -> Texts:
    return choose_language(request.headers.get("Accept-Language", ""), request.cookies)


def _example(read: Callable[[str], bytes | None]) -> Callable[[str], Response]:
    def example(name: str) -> Response:
        data = read(name)
        if data is None:
            raise UnknownRequestError("There is no such example. Reload the page.")
        return Response(data, media_type="image/jpeg", headers=_CACHED)

    return example


def _file(name: str, kind: str, *, fresh: bool = False) -> Callable[[], FileResponse]:
    """Serve a file of `static/`; a fresh one is asked for again at each visit."""

    def file() -> FileResponse:
        return FileResponse(_STATIC / name, media_type=kind, headers=_REVALIDATED if fresh else _CACHED)

    return file
