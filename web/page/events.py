"""What programs may call on the page, through Gradio's API; the page's own scripts use `web.page.routes`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import gradio as gr
from starlette.requests import Request

from catdog.errors import CatdogError
from feedback.row import Source
from web.api.schemas import FeedbackAnswer, PredictionAnswer
from web.metrics.metrics import Metrics
from web.middleware.rate_limit import RateLimiter
from web.page.examples import EXAMPLE_PATH, Examples
from web.page.html import Retention
from web.page.uploads import Uploads
from web.route_table import Cost
from web.service.service import Answer, Service

_NOT_UPLOADED = "Only uploaded files can be classified. Upload it first."


@dataclass(frozen=True, slots=True)
class PageParts:
    """What the page needs of the rest."""

    service: Service
    metrics: Metrics
    limiter: RateLimiter
    client_of: Callable[[gr.Request | Request], str]
    uploads: Uploads
    warnings: tuple[str, ...]
    examples: Examples = field(default_factory=Examples)
    retention: Retention = field(default_factory=Retention)
    mcp: bool = False
    """Whether agents may use the page's functions as tools; the package `mcp` must be installed."""


class ProgramEvents:
    """The functions that programs may call; their docstrings are the API's documentation."""

    def __init__(self, parts: PageParts) -> None:
        self._parts = parts

    async def classify(self, image: gr.FileData, request: gr.Request) -> dict[str, Any]:
        """Classify one picture: label, confidence, probability of each label, and a request_id for wrong_label."""
        try:
            answer = await self._classified(image, request)
        except CatdogError as error:
            self._parts.metrics.failed(error.code)
            raise gr.Error(str(error), print_exception=False) from None
        return PredictionAnswer.of(answer).model_dump()

    async def _classified(self, image: Any, request: gr.Request) -> Answer:
        """Classify an uploaded file, which Gradio passes as a mapping, or the picture at an address."""
        parts, client = self._parts, self._parts.client_of(request)
        if not isinstance(image, str):
            file = image if isinstance(image, Mapping) else {}
            read = partial(parts.uploads.read, file, refusal=_NOT_UPLOADED)
            return await parts.service.classify(read, Source.API, client=client)
        if example := self._example(image, request):
            return await parts.service.classify(lambda: example, Source.API, client=client)
        return await parts.service.classify_url(image, client=client)

    def _example(self, address: str, request: gr.Request) -> bytes | None:
        """The page's own example at an address, which need not be fetched; "Use via API" names one."""
        base, _, name = address.rpartition(EXAMPLE_PATH)
        is_own = request.request is not None and base == str(request.request.base_url).rstrip("/")
        return self._parts.examples.picture(name) if is_own else None

    async def wrong_label(self, request_id: str, label: str, request: gr.Request) -> dict[str, Any]:
        """Say what a picture shows that `classify` was asked about: a label of the model, `neither` or `unsure`."""
        return await correct_by_id(self._parts, request_id, label, request)


async def correct_by_id(parts: PageParts, request_id: Any, label: Any, request: gr.Request) -> dict[str, Any]:
    """A program says what a picture shows that it asked about.

    Raises:
        gr.Error: it was not saved; the message says why.
    """
    if not isinstance(request_id, str) or not isinstance(label, str):
        raise gr.Error("Invalid parameters: request_id and label must be strings.", print_exception=False)
    client = parts.client_of(request)
    try:
        parts.limiter.check(Cost.FEEDBACK, client)
        correction = await parts.service.correct(request_id, label, client=client)
    except CatdogError as error:
        raise gr.Error(str(error), print_exception=False) from None
    return FeedbackAnswer.of(correction).model_dump()
