"""What the page shows and what the browser remembers: the server keeps nothing between two events of a page."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import gradio as gr

from catdog.model.model import Prediction
from feedback.row import Source
from web.i18n.texts import Texts
from web.page.html import message_html

Updates = list[Any]
"""New values for Gradio components, in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The last answer, as the browser sends it back. It may have been tampered with, so it grants nothing."""

    request_id: str = ""
    verdict: str = ""
    source: Source = Source.UPLOAD
    receipt: str | None = None
    row_id: str | None = None
    """The correction that is received, but not saved yet."""
    explained: bool = False
    """Whether the heat map is shown."""
    audit_receipt: str | None = None
    """Deletes the copy in the audit sample, if there is one."""

    @property
    def receipts(self) -> tuple[str, ...]:
        """What takes back everything that is kept of this photo."""
        return tuple(receipt for receipt in (self.receipt, self.audit_receipt) if receipt is not None)

    @classmethod
    def of(cls, sent: Any) -> Self:
        """What a browser sent, whatever it is."""
        memory = sent if isinstance(sent, Mapping) else {}
        receipt, source, row_id = memory.get("receipt"), memory.get("source"), memory.get("row_id")
        audit_receipt = memory.get("audit_receipt")
        return cls(
            request_id=str(memory.get("request_id", "")),
            verdict=str(memory.get("verdict", "")),
            source=Source(source) if source in tuple(Source) else Source.UPLOAD,
            receipt=receipt if isinstance(receipt, str) else None,
            row_id=row_id if isinstance(row_id, str) else None,
            explained=memory.get("explained") is True,
            audit_receipt=audit_receipt if isinstance(audit_receipt, str) else None,
        )

    def sent(self) -> dict[str, Any]:
        """For the browser."""
        return asdict(self)


def answer_updates(
    answer: str, prediction: Prediction | None, memory: Memory, texts: Texts, *, explains: bool = False
) -> Updates:
    """A new card, and the question that belongs to it; without a prediction there is nothing to ask.

    Returns:
        Values for: answer, heat, ask, question, why, right, wrong, choices, thanks, take_back, memory.
    """
    unsure = prediction is not None and not prediction.verdict.is_confirmable
    return [
        answer,
        "",
        gr.update(visible=prediction is not None),
        gr.update(visible=not unsure),
        gr.update(visible=explains),
        gr.update(visible=not unsure),
        gr.update(visible=not unsure),
        gr.update(
            label=texts.choose_unsure if unsure else texts.choose,
            choices=_choices(prediction, texts) if prediction else [],
            value=None,
            visible=unsure,
        ),
        message_html(texts.audited, kind="thanks") if memory.receipts else "",
        gr.update(visible=bool(memory.receipts)),
        memory.sent(),
    ]


def said_updates(message: str, memory: Memory) -> Updates:
    """What follows an answer of the person.

    Returns:
        Values for: thanks, take_back, memory.
    """
    return [message, gr.update(visible=bool(memory.receipts)), memory.sent()]


def _choices(prediction: Prediction, texts: Texts) -> list[tuple[str, str]]:
    """What it may be instead: every label but the one shown, then none of them, then no answer."""
    answers = prediction.verdict.corrections(prediction.labels)
    return [(texts.choice(answer, prediction.labels), answer) for answer in answers]
