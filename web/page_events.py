"""What the page's events do with the service. Failures become a sentence on the page."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import gradio as gr

from catdog.errors import CatdogError, UnknownRequestError
from feedback.row import RowStatus, Source
from web.answer_view import answer_html, footer_html, message_html
from web.answers import FeedbackAnswer, PredictionAnswer
from web.metrics import Metrics
from web.page_state import Memory, Updates, answer_updates, said_updates
from web.rate_limit import FEEDBACK, RateLimiter
from web.service import Answer, Correction, Reader, Service
from web.texts import Texts
from web.uploads import Uploads, needs_preview, source_of


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


class PageEvents:
    """The functions behind the page's components. `file` is Gradio's description of an uploaded file."""

    def __init__(self, parts: PageParts) -> None:
        self._parts = parts
        self._service = parts.service
        self._texts = parts.texts

    async def on_load(self) -> str:
        """The page was opened: the model may be another one than when the page was built."""
        return footer_html(self._service.live.model, self._texts)

    async def on_photo(self, file: Any) -> Updates:
        """A photo was dropped, chosen, pasted or snapped; None when it was removed."""
        if not isinstance(file, Mapping):
            return self._waiting()
        source = source_of(file)
        answer = self._service.classify(self._reader(file), source, preview=needs_preview(file))
        return await self._show(answer, source)

    async def on_url(self, url: Any) -> Updates:
        """An address was entered."""
        if not isinstance(url, str) or not url.strip():
            return self._waiting()
        return await self._show(self._service.classify_url(url, preview=True), Source.URL)

    async def on_right(self, memory: Any, file: Any, request: gr.Request) -> Updates:
        """The person agrees."""
        return await self.on_choice(memory, file, Memory.of(memory).verdict, request)

    async def on_choice(self, memory: Any, file: Any, label: Any, request: gr.Request) -> Updates:
        """The person says what it is."""
        known = Memory.of(memory)
        try:
            correction = await self._correct(known, file, str(label), self._parts.client_of(request))
        except CatdogError as error:
            return said_updates(message_html(str(error), kind="problem"), known)
        receipt = correction.receipt or known.receipt
        message = message_html(self._thanks(correction, known, str(label)), kind="thanks")
        waits = correction.id if correction.status is RowStatus.RECEIVED else None
        told = replace(known, request_id=correction.request_id, receipt=receipt, row_id=waits)
        return said_updates(message, told)

    async def on_sent(self, memory: Any) -> gr.Timer:
        """The person's answer was taken: look from time to time, if it is not saved yet."""
        return gr.Timer(active=Memory.of(memory).row_id is not None)

    async def on_look(self, memory: Any) -> Updates:
        """It is time to look whether it is saved; nobody waits any more where another photo has come.

        Returns:
            Values for: thanks, timer.
        """
        row_id = Memory.of(memory).row_id
        try:
            status = await self._service.feedback_status(row_id) if row_id is not None else None
        except CatdogError:
            return [gr.skip(), gr.skip()]
        match status:
            case RowStatus.RECEIVED:
                return [gr.skip(), gr.skip()]
            case RowStatus.SAVED:
                return [message_html(self._texts.saved, kind="thanks"), gr.Timer(active=False)]
            case RowStatus.FAILED:
                return [message_html(self._texts.not_saved, kind="problem"), gr.Timer(active=False)]
        return [gr.skip(), gr.Timer(active=False)]

    async def on_take_back(self, memory: Any) -> Updates:
        """The person takes the answer back."""
        known = Memory.of(memory)
        try:
            if known.receipt is not None:
                await self._service.take_back(known.receipt)
        except CatdogError as error:
            return [*said_updates(message_html(str(error), kind="problem"), known), gr.skip()]
        message = message_html(self._texts.taken_back, kind="thanks")
        return [*said_updates(message, replace(known, receipt=None, row_id=None)), gr.update(value=None)]

    async def classify(self, image: gr.FileData) -> dict[str, Any]:
        """Classify one picture: label, confidence, probability of each label, and a request_id for wrong_label."""
        assert isinstance(image, Mapping)  # Gradio's annotation is not what it passes
        try:
            answer = await self._service.classify(self._reader(image), Source.API)
        except CatdogError as error:
            self._parts.metrics.failed(error.code)
            raise gr.Error(str(error), print_exception=False) from None
        return PredictionAnswer.of(answer).model_dump()

    async def wrong_label(self, request_id: str, label: str, request: gr.Request) -> dict[str, Any]:
        """Say what a picture shows that `classify` was asked about: a label of the model, `neither` or `unsure`."""
        client = self._parts.client_of(request)
        try:
            self._parts.limiter.check(FEEDBACK, client)
            correction = await self._service.correct(request_id, label, client=client)
        except CatdogError as error:
            raise gr.Error(str(error), print_exception=False) from None
        return FeedbackAnswer.of(correction).model_dump()

    async def _show(self, answering: Awaitable[Answer], source: Source) -> Updates:
        """The answer, or why there is none; and the server's own picture where the browser may have none."""
        try:
            answer = await answering
        except CatdogError as error:
            self._parts.metrics.failed(error.code)
            return self._waiting(message_html(str(error), kind="problem"))
        prediction = answer.prediction
        memory = Memory(request_id=answer.request_id, verdict=prediction.verdict, source=source)
        picture = gr.skip() if answer.preview is None else self._parts.uploads.write(answer.preview)
        return [picture, *answer_updates(answer_html(prediction, self._texts), prediction, memory, self._texts)]

    def _waiting(self, card: str | None = None) -> Updates:
        card = card or message_html(self._texts.waiting, kind="waiting")
        return [gr.skip(), *answer_updates(card, None, Memory(), self._texts)]

    async def _correct(self, known: Memory, file: Any, label: str, client: str) -> Correction:
        """Correct a prediction; one that is forgotten by now is made again from the picture on the page."""
        self._parts.limiter.check(FEEDBACK, client)
        try:
            return await self._service.correct(known.request_id, label, client=client)
        except UnknownRequestError:
            key = f"{known.request_id}:{label}"  # pressing twice counts once
            read = self._reader(file if isinstance(file, Mapping) else {}, self._texts.picture_gone)
            return await self._service.correct_picture(read, label, source=known.source, client=client, key=key)

    def _reader(self, file: Mapping[str, Any], refusal: str | None = None) -> Reader:
        return partial(self._parts.uploads.read, file, refusal=refusal or self._texts.not_uploaded)

    def _thanks(self, correction: Correction, known: Memory, label: str) -> str:
        if correction.status is RowStatus.RECEIVED:
            return self._texts.being_saved
        if not correction.created:
            return self._texts.thanks_again
        if label == known.verdict:
            return self._texts.thanks_right
        return self._texts.thanks_wrong.format(label=self._texts.choice(label, self._service.live.model.labels))
