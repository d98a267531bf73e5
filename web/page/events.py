"""What the page's events do with the service. Failures become a sentence on the page."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from html import escape
from typing import Any

import gradio as gr

from catdog.errors import CatdogError, UnknownRequestError
from catdog.model.metadata import UNSURE
from feedback.row import RowStatus, Source
from web.api.schemas import FeedbackAnswer, PredictionAnswer
from web.i18n.texts import Texts, choose_language
from web.metrics.metrics import Metrics
from web.middleware.rate_limit import RateLimiter
from web.page.about import about_html
from web.page.examples import Examples
from web.page.html import answer_html, examples_html, footer_html, header_html, heat_html, message_html, ways_html
from web.page.retention import Retention, consent
from web.page.state import Memory, Updates, answer_updates, said_updates
from web.page.uploads import Uploads, needs_preview, source_of
from web.route_table import Cost
from web.service.heatmap import as_data_url
from web.service.service import Answer, Correction, Reader, Service


@dataclass(frozen=True, slots=True)
class PageParts:
    """What the page needs of the rest."""

    service: Service
    metrics: Metrics
    limiter: RateLimiter
    client_of: Callable[[gr.Request], str]
    uploads: Uploads
    warnings: tuple[str, ...]
    texts: Texts
    """In the language of those whose browser names none."""
    examples: Examples = field(default_factory=Examples)
    retention: Retention = field(default_factory=Retention)
    mcp: bool = False
    """Whether agents may use the page's functions as tools; the package `mcp` must be there."""


async def correct_by_id(parts: PageParts, request_id: Any, label: Any, request: gr.Request) -> dict[str, Any]:
    """A program says what a picture shows that it asked about.

    Raises:
        gr.Error: it was not kept; the message says why.
    """
    if not isinstance(request_id, str) or not isinstance(label, str):
        raise gr.Error("The values do not fit. Send request_id and label as texts.", print_exception=False)
    client = parts.client_of(request)
    try:
        parts.limiter.check(Cost.FEEDBACK, client)
        correction = await parts.service.correct(request_id, label, client=client)
    except CatdogError as error:
        raise gr.Error(str(error), print_exception=False) from None
    return FeedbackAnswer.of(correction).model_dump()


class PageEvents:
    """The functions behind the page's components. `file` is Gradio's description of an uploaded file."""

    def __init__(self, parts: PageParts) -> None:
        self._parts = parts
        self._service = parts.service
        self._texts = parts.texts

    async def on_load(self, request: gr.Request | None = None) -> Updates:
        """The page was opened, in some language; the model may be another one than when the page was built.

        Returns:
            Values for: header, ways, examples, question, consent, about, foot. A photo may have been answered
            meanwhile, so the answer's place is none of them.
        """
        return page_texts(self._parts, self._texts_of(request))

    async def on_photo(self, file: Any, consents: Any, request: gr.Request | None = None) -> Updates:
        """A photo was dropped, chosen, pasted or snapped; None when it was removed."""
        texts = self._texts_of(request)
        if not isinstance(file, Mapping):
            return _waiting(texts)
        source = source_of(file)
        preview = needs_preview(file)
        answer = self._service.classify(
            self._reader(file), source, client=self._client(request), preview=preview, consents=consents is True
        )
        return await self._show(answer, source, texts)

    async def on_url(self, url: Any, consents: Any, request: gr.Request | None = None) -> Updates:
        """An address was entered."""
        texts = self._texts_of(request)
        if not isinstance(url, str) or not url.strip():
            return [gr.skip()] * len(_waiting(texts))
        answer = self._service.classify_url(url, client=self._client(request), preview=True, consents=consents is True)
        return await self._show(answer, Source.URL, texts)

    async def on_why(self, memory: Any, request: gr.Request | None = None) -> Updates:
        """The person asks why, or has seen enough.

        Returns:
            Values for: heat, memory.
        """
        known, texts = Memory.of(memory), self._texts_of(request)
        if known.explained:
            return ["", replace(known, explained=False).sent()]
        try:
            explanation = await self._service.explain(known.request_id, client=self._client(request))
        except CatdogError as error:
            return [message_html(texts.problem(error), kind="problem"), known.sent()]
        heat = heat_html(as_data_url(explanation.layer), explanation.label, texts)
        return [heat, replace(known, explained=True).sent()]

    async def on_right(self, memory: Any, file: Any, request: gr.Request) -> Updates:
        """The person agrees."""
        return await self.on_choice(memory, file, Memory.of(memory).verdict, request)

    async def on_choice(self, memory: Any, file: Any, label: Any, request: gr.Request) -> Updates:
        """The person says what it is."""
        known, texts = Memory.of(memory), self._texts_of(request)
        try:
            correction = await self._correct(known, file, str(label), self._parts.client_of(request))
        except CatdogError as error:
            return said_updates(message_html(texts.problem(error), kind="problem"), known)
        receipt = correction.receipt or known.receipt
        note = texts.receipt.format(receipt=receipt) if receipt else ""
        message = message_html(self._thanks(correction, known, str(label), texts), kind="thanks", note=note)
        waits = correction.id if correction.status is RowStatus.RECEIVED else None
        told = replace(known, request_id=correction.request_id, receipt=receipt, row_id=waits)
        return said_updates(message, told)

    async def on_sent(self, memory: Any) -> gr.Timer:
        """The person's answer was taken: look from time to time, if it is not saved yet."""
        return gr.Timer(active=Memory.of(memory).row_id is not None)

    async def on_look(self, memory: Any, request: gr.Request | None = None) -> Updates:
        """It is time to look whether it is saved; nobody waits any more where another photo has come.

        Returns:
            Values for: thanks, timer.
        """
        known, texts = Memory.of(memory), self._texts_of(request)
        row_id = known.row_id
        try:
            status = await self._service.feedback_status(row_id) if row_id is not None else None
        except CatdogError:
            return [gr.skip(), gr.skip()]
        match status:
            case RowStatus.RECEIVED:
                return [gr.skip(), gr.skip()]
            case RowStatus.SAVED:
                note = texts.receipt.format(receipt=known.receipt) if known.receipt else ""
                return [message_html(texts.saved, kind="thanks", note=note), gr.Timer(active=False)]
            case RowStatus.FAILED:
                return [message_html(texts.not_saved, kind="problem"), gr.Timer(active=False)]
        return [gr.skip(), gr.Timer(active=False)]

    async def on_take_back(self, memory: Any, request: gr.Request | None = None) -> Updates:
        """The person takes the answer back."""
        known, texts = Memory.of(memory), self._texts_of(request)
        try:
            for receipt in known.receipts:
                await self._service.take_back(receipt)
        except CatdogError as error:
            return [*said_updates(message_html(texts.problem(error), kind="problem"), known), gr.skip()]
        message = message_html(texts.taken_back, kind="thanks")
        return [
            *said_updates(message, replace(known, receipt=None, row_id=None, audit_receipt=None)),
            gr.update(value=None, visible=known.verdict == UNSURE),
        ]

    async def classify(self, image: gr.FileData) -> dict[str, Any]:
        """Classify one picture: label, confidence, probability of each label, and a request_id for wrong_label."""
        file = image if isinstance(image, Mapping) else {}  # Gradio's annotation is not what it passes
        try:
            answer = await self._service.classify(self._reader(file), Source.API)
        except CatdogError as error:
            self._parts.metrics.failed(error.code)
            raise gr.Error(str(error), print_exception=False) from None
        return PredictionAnswer.of(answer).model_dump()

    async def wrong_label(self, request_id: str, label: str, request: gr.Request) -> dict[str, Any]:
        """Say what a picture shows that `classify` was asked about: a label of the model, `neither` or `unsure`."""
        return await correct_by_id(self._parts, request_id, label, request)

    async def _show(self, answering: Awaitable[Answer], source: Source, texts: Texts) -> Updates:
        """The answer, or why there is none; and the server's own picture where the browser may have none."""
        try:
            answer = await answering
        except CatdogError as error:
            self._parts.metrics.failed(error.code)
            return _waiting(texts, message_html(texts.problem(error), kind="problem"))
        prediction = answer.prediction
        memory = Memory(
            request_id=answer.request_id,
            verdict=prediction.verdict,
            source=source,
            audit_receipt=answer.audit_receipt,
        )
        picture = gr.skip() if answer.preview is None else self._parts.uploads.write(answer.preview)
        explains = self._service.live.model.explains
        card = answer_html(prediction, texts, request_id=answer.request_id)
        return [picture, *answer_updates(card, prediction, memory, texts, explains=explains)]

    async def _correct(self, known: Memory, file: Any, label: str, client: str) -> Correction:
        """Correct a prediction; one that is forgotten by now is made again from the picture on the page."""
        self._parts.limiter.check(Cost.FEEDBACK, client)
        try:
            return await self._service.correct(known.request_id, label, client=client)
        except UnknownRequestError:
            key = f"{known.request_id}:{label}"  # pressing twice counts once
            read = self._reader(file if isinstance(file, Mapping) else {}, self._texts.picture_gone)
            return await self._service.correct_picture(read, label, source=known.source, client=client, key=key)

    def _reader(self, file: Mapping[str, Any], refusal: str | None = None) -> Reader:
        return partial(self._parts.uploads.read, file, refusal=refusal or self._texts.not_uploaded)

    def _thanks(self, correction: Correction, known: Memory, label: str, texts: Texts) -> str:
        if correction.status is RowStatus.RECEIVED:
            return texts.being_saved
        if not correction.created:
            return texts.thanks_again
        if label == known.verdict:
            return texts.thanks_right
        return texts.thanks_wrong.format(label=texts.choice(label, self._service.live.model.labels))

    def _client(self, request: gr.Request | None) -> str:
        return self._parts.client_of(request) if request else ""

    def _texts_of(self, request: gr.Request | None) -> Texts:
        """The visitor's language."""
        origin = request.request if request else None
        return choose_language(origin.headers.get("Accept-Language", "")) if origin else self._texts


def page_texts(parts: PageParts, texts: Texts) -> Updates:
    """The parts of the page that are words alone; see `PageEvents.on_load`."""
    model = parts.service.live.model
    return [
        header_html(model.labels, texts),
        ways_html(texts),
        examples_html(parts.examples.names(model.labels), texts),
        f"<p>{escape(texts.question)}</p>",
        f"<p>{escape(consent(parts.retention, texts))}</p>",
        about_html(model, texts),
        footer_html(model, texts),
    ]


def _waiting(texts: Texts, card: str | None = None) -> Updates:
    """No answer, and no photo: the drop zone is ready for another one."""
    card = card or message_html(texts.waiting, kind="waiting")
    return [None, *answer_updates(card, None, Memory(), texts)]
