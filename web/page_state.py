"""What the page shows and what the browser remembers: the server keeps nothing between two events of a page."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import gradio as gr

from catdog.metadata import NEITHER, UNSURE
from catdog.model import Prediction
from feedback.row import Source
from web.texts import Texts

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

    @classmethod
    def of(cls, sent: Any) -> Self:
        """What a browser sent, whatever it is."""
        memory = sent if isinstance(sent, Mapping) else {}
        receipt, source, row_id = memory.get("receipt"), memory.get("source"), memory.get("row_id")
        return cls(
            request_id=str(memory.get("request_id", "")),
            verdict=str(memory.get("verdict", "")),
            source=Source(source) if source in tuple(Source) else Source.UPLOAD,
            receipt=receipt if isinstance(receipt, str) else None,
            row_id=row_id if isinstance(row_id, str) else None,
        )

    def sent(self) -> dict[str, Any]:
        """For the browser."""
        return asdict(self)


def answer_updates(answer: str, prediction: Prediction | None, memory: Memory, texts: Texts) -> Updates:
    """A new card, and the question that belongs to it; without a prediction there is nothing to ask.

    Returns:
        Values for: answer, ask, question, right, wrong, choices, thanks, take_back, memory.
    """
    unsure = prediction is not None and prediction.verdict == UNSURE
    return [
        answer,
        gr.update(visible=prediction is not None),
        gr.update(visible=not unsure),
        gr.update(visible=not unsure),
        gr.update(visible=not unsure),
        gr.update(
            label=texts.choose_unsure if unsure else texts.choose,
            choices=_choices(prediction, texts) if prediction else [],
            value=None,
            visible=unsure,
        ),
        "",
        gr.update(visible=False),
        memory.sent(),
    ]


def said_updates(message: str, memory: Memory) -> Updates:
    """What follows an answer of the person.

    Returns:
        Values for: thanks, take_back, memory.
    """
    return [message, gr.update(visible=memory.receipt is not None), memory.sent()]


def _choices(prediction: Prediction, texts: Texts) -> list[tuple[str, str]]:
    """What it may be instead: every label but the one shown, then none of them, then no answer."""
    answers = (*prediction.labels, NEITHER, UNSURE)
    return [(texts.choice(a, prediction.labels), a) for a in answers if a != prediction.verdict or a == UNSURE]
