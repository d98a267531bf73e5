"""The answer as HTML: the label in words, and a bar per label."""

from collections.abc import Sequence
from html import escape

from catdog.model.model import Model, Prediction
from web.i18n.texts import Texts

_SVG = (
    '<svg viewBox="0 0 24 24" width="22" height="22" fill="none" stroke="currentColor" stroke-width="2" '
    'stroke-linejoin="round" aria-hidden="true">{}</svg>'
)
_CAMERA = _SVG.format('<path d="M3 8h4l2-3h6l2 3h4v11H3z"/><circle cx="12" cy="13" r="3.5"/>')
_PASTE = _SVG.format('<path d="M8 5H5v16h14V5h-3"/><path d="M9 3h6v4H9z"/>')


def answer_html(prediction: Prediction, texts: Texts, *, request_id: str = "") -> str:
    """The card that shows one prediction.

    With its `request_id` it differs from a card of the same words, so that browsers show and read out the new one.
    """
    verdict = prediction.verdict
    kind = verdict.kind
    headline = escape(texts.verdict(verdict, prediction.labels))
    sureness = escape(texts.sureness(verdict, prediction.label, prediction.confidence))
    pairs = sorted(zip(prediction.probabilities, prediction.labels, strict=True), reverse=True)
    bars = "".join(_bar(label, probability, texts, top=not index) for index, (probability, label) in enumerate(pairs))
    return (
        f'<div class="answer {kind}" data-verdict="{escape(verdict)}" data-request="{escape(request_id)}">'
        f'<p class="verdict">{headline}</p><p class="sureness">{sureness}</p><ul class="bars">{bars}</ul></div>'
    )


def message_html(text: str, *, kind: str, note: str = "") -> str:
    """A card with one sentence: `waiting`, `problem`, `thanks` or `notice`; and perhaps a note in small print."""
    small = f"<small>{escape(note)}</small>" if note else ""
    return f'<div class="message {kind}"><p>{escape(text)}</p>{small}</div>'


def heat_html(address: str, label: str, texts: Texts) -> str:
    """The layer over the photo that shows what spoke for a label."""
    words = escape(texts.why_explained.format(label=texts.name(label)))
    return (
        f'<figure><img src="{escape(address)}" alt="{escape(texts.why_alt)}"><figcaption>{words}</figcaption></figure>'
    )


def examples_html(names: Sequence[str], texts: Texts) -> str:
    """Pictures to try; `page.js` shows what is pressed."""
    words = dict(texts.example_names)
    buttons = "".join(
        f'<button type="button" data-example="{escape(name)}" aria-label="{escape(words.get(name, name))}">'
        f'<img src="./page/thumbnail/{escape(name)}" alt="" width="72" height="72" loading="lazy"></button>'
        for name in names
    )
    return f"<p>{escape(texts.examples)}</p><div>{buttons}</div>" if names else ""


def ways_html(texts: Texts) -> str:
    """The camera and the clipboard, as equals of the drop zone; `page.js` does what they say."""
    ways = (("camera", _CAMERA, texts.camera), ("paste", _PASTE, texts.paste))
    return "".join(
        f'<button type="button" data-way="{way}">{icon}<span>{escape(text)}</span></button>' for way, icon, text in ways
    )


def header_html(labels: Sequence[str], texts: Texts) -> str:
    """The top of the page."""
    return f"<h1>{escape(texts.title(labels))}</h1><p>{escape(texts.tagline)}</p>"


def footer_html(model: Model, texts: Texts) -> str:
    """The foot of the page."""
    name = escape(texts.model.format(model_id=model.model_id, revision=model.revision[:18]))
    return f'<p>{name} · <a href="./docs">{escape(texts.api)}</a></p>'


def _bar(label: str, probability: float, texts: Texts, *, top: bool) -> str:
    name, value = escape(texts.name(label).capitalize()), texts.percent(probability)
    width = f"{100 * probability:.2f}"
    return (
        f'<li class="{"top" if top else "other"}"><span class="name">{name}</span>'
        f'<span class="track" aria-hidden="true"><span class="fill" style="width:{width}%"></span></span>'
        f'<span class="value">{value}</span></li>'
    )
