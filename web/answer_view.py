"""The answer as HTML: the label in words, and a bar per label."""

from collections.abc import Sequence
from html import escape

from catdog.metadata import NEITHER, UNSURE
from catdog.model import Model, Prediction
from web.texts import Texts, format_percent


def answer_html(prediction: Prediction, texts: Texts) -> str:
    """The card that shows one prediction."""
    verdict = prediction.verdict
    kind = verdict if verdict in (NEITHER, UNSURE) else "label"
    headline = escape(texts.verdict(verdict, prediction.labels))
    sureness = escape(texts.sureness(verdict, prediction.label, prediction.confidence))
    pairs = sorted(zip(prediction.probabilities, prediction.labels, strict=True), reverse=True)
    bars = "".join(_bar(label, probability, top=not index) for index, (probability, label) in enumerate(pairs))
    return (
        f'<div class="answer {kind}" data-verdict="{escape(verdict)}">'
        f'<p class="verdict">{headline}</p><p class="sureness">{sureness}</p><ul class="bars">{bars}</ul></div>'
    )


def message_html(text: str, *, kind: str) -> str:
    """A card with one sentence: `waiting`, `problem`, `thanks` or `notice`."""
    return f'<div class="message {kind}"><p>{escape(text)}</p></div>'


def header_html(labels: Sequence[str], texts: Texts) -> str:
    """The top of the page."""
    return f"<h1>{escape(texts.title(labels))}</h1><p>{escape(texts.tagline)}</p>"


def footer_html(model: Model, texts: Texts) -> str:
    """The foot of the page."""
    name = escape(texts.model.format(model_id=model.model_id, revision=model.revision[:18]))
    return f'<p>{name} · <a href="./docs">{escape(texts.api)}</a></p>'


def _bar(label: str, probability: float, *, top: bool) -> str:
    name, value = escape(label.capitalize()), format_percent(probability)
    width = f"{100 * probability:.2f}"
    return (
        f'<li class="{"top" if top else "other"}"><span class="name">{name}</span>'
        f'<span class="track" aria-hidden="true"><span class="fill" style="width:{width}%"></span></span>'
        f'<span class="value">{value}</span></li>'
    )
