"""What the page's own scripts ask for, beside Gradio: frames of live mode, several photos at once, texts, pictures."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, JSONResponse, Response

from catdog.errors import UnknownRequestError
from catdog.model.metadata import possible_verdicts
from catdog.model.model import Prediction
from feedback.row import Source
from web.i18n.texts import Texts, choose_language
from web.middleware.spooled import spooled_body
from web.page.about import CALIBRATION_PLOT
from web.page.examples import Examples
from web.page.icon import favicon_svg, preview_png
from web.service.service import Service

_STATIC = Path(__file__).with_name("static")
SCRIPTS = ("page", "camera", "connection", "gallery", "photo")
_CACHED = {"Cache-Control": "public, max-age=3600"}
_REVALIDATED = {"Cache-Control": "no-cache"}


class PageApi:
    """Routes below `/page`. They are the page's, may change with it, and are not in the API's document."""

    def __init__(self, service: Service, examples: Examples) -> None:
        self._service = service
        self._examples = examples

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/page", include_in_schema=False)
        router.post("/frame")(self._frame)
        router.post("/photo")(self._photo)
        router.get("/texts.json")(self._texts)
        router.get("/icon.svg")(_picture(favicon_svg, "image/svg+xml"))
        router.get("/preview.png")(_picture(lambda: preview_png(self._service.live.model.labels), "image/png"))
        router.get("/calibration.png")(self._calibration)
        router.get("/example/{name}")(_example(self._examples.picture))
        router.get("/thumbnail/{name}")(_example(self._examples.thumbnail))
        for name in SCRIPTS:
            router.get(f"/{name}.js")(_script(_STATIC / f"{name}.js"))
        return router

    async def _frame(self, request: Request) -> JSONResponse:
        """Classify a frame of the camera, which is the body; nothing is kept."""
        prediction = await self._service.classify_frame(await request.body())
        return JSONResponse(_told(prediction, _texts_of(request)))

    async def _photo(self, request: Request) -> JSONResponse:
        """Classify one of several photos, which is the body; it may be corrected by its `request_id`."""
        async with spooled_body(request) as file:
            answer = await self._service.classify(file.read, Source.UPLOAD)
        return JSONResponse({"request_id": answer.request_id, **_told(answer.prediction, _texts_of(request))})

    def _texts(self, request: Request) -> JSONResponse:
        """What the scripts show, in the visitor's language."""
        return JSONResponse(_texts_of(request).for_scripts, headers={**_REVALIDATED, "Vary": "Accept-Language"})

    def _calibration(self) -> Response:
        folder = self._service.live.model.folder
        if folder is None or not (folder / CALIBRATION_PLOT).is_file():
            raise UnknownRequestError("The model brings no calibration plot. Train it again to get one.")
        return FileResponse(folder / CALIBRATION_PLOT, media_type="image/png", headers=_REVALIDATED)


def _told(prediction: Prediction, texts: Texts) -> dict[str, Any]:
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
    return choose_language(request.headers.get("Accept-Language", ""))


def _example(read: Callable[[str], bytes | None]) -> Callable[[str], Response]:
    def example(name: str) -> Response:
        data = read(name)
        if data is None:
            raise UnknownRequestError("There is no such example. Reload the page.")
        return Response(data, media_type="image/jpeg", headers=_CACHED)

    return example


def _script(path: Path) -> Callable[[], FileResponse]:
    def script() -> FileResponse:
        return FileResponse(path, media_type="text/javascript", headers=_REVALIDATED)

    return script


def _picture(draw: Callable[[], bytes], kind: str, headers: Mapping[str, str] = _CACHED) -> Callable[[], Response]:
    def picture() -> Response:
        return Response(draw(), media_type=kind, headers=dict(headers))

    return picture
