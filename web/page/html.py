"""The page's HTML: the answer and what a person may say about it, and the parts that are words alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from catdog.model.metadata import NEITHER, Metadata
from catdog.model.model import Model, Prediction
from web.i18n import LANGUAGES, Texts
from web.service.predictions import MAX_AGE_S

CALIBRATION_PLOT = "reliability.png"
_MINUTE_S = 60.0
_SVG = (
    '<svg viewBox="0 0 24 24" width="22" height="22" fill="none" stroke="currentColor" stroke-width="2" '
    'stroke-linejoin="round" aria-hidden="true">{}</svg>'
)
_CAMERA = _SVG.format('<path d="M3 8h4l2-3h6l2 3h4v11H3z"/><circle cx="12" cy="13" r="3.5"/>')
_PASTE = _SVG.format('<path d="M8 5H5v16h14V5h-3"/><path d="M9 3h6v4H9z"/>')
_PICTURE = _SVG.format('<path d="M3 5h18v14H3z"/><circle cx="8.5" cy="10" r="1.5"/><path d="m4 18 6-6 4 4 3-3 4 4"/>')


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long this service keeps what."""

    hub_days: float | None = None
    """When pictures that the Hub has leave this server; None where they go to no Hub."""
    memory_s: float = MAX_AGE_S
    """How long a prediction can be corrected."""
    audits: bool = False
    """Whether visitors are asked to let a photo be kept at random."""


def answer_html(prediction: Prediction, texts: Texts, *, request_id: str = "") -> str:
    """The card that shows one prediction: the verdict in words, and a bar per label."""
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


def ask_html(prediction: Prediction, texts: Texts, *, explains: bool) -> str:
    """What a person may say about an answer; where the model is unsure, it asks at once what the photo shows."""
    unsure = not prediction.verdict.is_confirmable
    question = "" if unsure else f'<p id="question">{escape(texts.question)}</p>'
    why = _button("why", texts.why, 'aria-pressed="false"') if explains else ""
    pair = (
        ""
        if unsure
        else '<div class="pair">'
        + _button("right", texts.right)
        + _button("wrong", texts.wrong, 'aria-expanded="false" aria-controls="choices"')
        + "</div>"
    )
    legend = escape(texts.choose_unsure if unsure else texts.choose)
    options = "".join(_choice(value, text) for value, text in choices(prediction, texts))
    return (
        f'<div class="ask-line">{question}{why}</div>{pair}'
        f'<fieldset id="choices"{"" if unsure else " hidden"}><legend>{legend}</legend>'
        f'<div class="wrap">{options}</div></fieldset><div id="thanks" aria-live="polite"></div>'
        f'<div class="small">{_button("take-back", texts.take_back, "hidden")}'
        f"{_button('save-picture', texts.save_picture)}</div>"
    )


def choices(prediction: Prediction, texts: Texts) -> list[tuple[str, str]]:
    """What it may be instead, by value and in words: every label but the one shown, then none, then no answer."""
    answers = prediction.verdict.corrections(prediction.labels)
    return [(answer, texts.choice(answer, prediction.labels)) for answer in answers]


def message_html(text: str, *, kind: str) -> str:
    """A card with one sentence: `waiting`, `problem`, `thanks` or `notice`."""
    return f'<div class="message {kind}"><p>{escape(text)}</p></div>'


def page_words(model: Model, retention: Retention, examples: Sequence[str], texts: Texts) -> dict[str, str]:
    """The parts of the page that are words alone, in one language; `web.page.layout` says where each goes."""
    return {
        "title": texts.title(model.labels),
        "first_label": model.labels[0],
        "first_example": next(iter(examples), ""),
        "header": f"<h1>{escape(texts.title(model.labels))}</h1><p>{escape(texts.tagline)}</p>",
        "frame": _frame(texts),
        "ways": _ways(texts),
        "url": texts.url,
        "url_placeholder": texts.url_placeholder,
        "audit": texts.audit,
        "examples": _examples(examples, texts),
        "answer": f'<div class="place" aria-live="polite">{message_html(texts.waiting, kind="waiting")}</div>',
        "consent": f"<p>{escape(consent(retention, texts))}</p>",
        "about": about_html(model.metadata, model.revision, texts, plot=_plot(model, texts)),
        "foot": _footer(model, texts),
    }


def consent(retention: Retention, texts: Texts) -> str:
    """What is kept without being asked, and what once a person has agreed or answered."""
    kept = texts.kept_here if retention.hub_days is None else texts.kept_on_hub.format(days=f"{retention.hub_days:g}")
    sentences = [
        texts.consent.format(memory=f"{retention.memory_s / _MINUTE_S:g}", kept=kept),
        texts.consent_list.format(mine=texts.mine_title),
    ]
    return " ".join([*sentences, texts.consent_audit] if retention.audits else sentences)


def about_html(metadata: Metadata, revision: str, texts: Texts, *, plot: str = "") -> str:
    """What the model is and how good it is, from its own metadata: the folded section at the foot of the page."""
    sentences = [*_scores(metadata.metrics.get("test", {}), texts), _limits(metadata, texts)]
    if learned := metadata.corrections_learned:
        sentences.insert(-1, texts.about_learned.format(n=texts.number(learned)))
    paragraphs = "".join(f"<p>{escape(each)}</p>" for each in sentences)
    shown = f"<p>{escape(texts.about_revision)}: <code>{escape(revision)}</code></p>"
    return f"<details><summary>{escape(texts.about)}</summary>{paragraphs}{shown}{plot}</details>"


def first_html(words: Mapping[str, str], texts: Texts) -> str:
    """What is there before any script: title and drop zone. A photo chosen here is sent as soon as the page can."""
    return (
        f'<div id="first">{words["header"]}<label><input type="file" accept="image/*" multiple>'
        f"{_PICTURE}<span>{escape(texts.drop)}</span></label><noscript><p>{escape(texts.noscript)}</p></noscript></div>"
    )


def _frame(texts: Texts) -> str:
    """The photo's place: drop zone, picture, heat map; `photo.js` shows one of them at a time."""
    photo, remove = escape(texts.photo), escape(texts.remove_photo)
    return (
        f'<div id="photo"><label aria-dropeffect="copy">'
        f'<input type="file" accept="image/*" multiple aria-label="{photo}">{_PICTURE}<span>{escape(texts.drop)}</span>'
        f'</label><div id="shown"></div><div id="sending" hidden><span></span><progress max="1"></progress></div>'
        f'<button type="button" id="remove" hidden aria-label="{remove}" title="{remove}">✕</button></div>'
        '<div id="heat"></div>'
    )


def _examples(names: Sequence[str], texts: Texts) -> str:
    """Pictures to try; `page.js` shows the one that is pressed."""
    words = dict(texts.example_names)
    buttons = "".join(
        f'<button type="button" data-example="{escape(name)}" aria-label="{escape(words.get(name, name))}">'
        f'<img src="./page/thumbnail/{escape(name)}" alt="" width="72" height="72" loading="lazy"></button>'
        for name in names
    )
    return f"<p>{escape(texts.examples)}</p><div>{buttons}</div>" if names else ""


def _ways(texts: Texts) -> str:
    """The camera and the clipboard, as equals of the drop zone; `page.js` does what they say."""
    ways = (("camera", _CAMERA, texts.camera), ("paste", _PASTE, texts.paste))
    return "".join(
        f'<button type="button" data-way="{way}">{icon}<span>{escape(text)}</span></button>' for way, icon, text in ways
    )


def _footer(model: Model, texts: Texts) -> str:
    """The foot of the page: the model, the REST API, and the switch between languages."""
    name = escape(texts.model.format(model_id=model.model_id, revision=model.revision[:18]))
    options = "".join(
        f'<option value="{each.language}" lang="{each.language}"{" selected" if each is texts else ""}>'
        f"{escape(each.own_name)}</option>"
        for each in LANGUAGES
    )
    switch = f'<select id="language" aria-label="{escape(texts.language_switch)}">{options}</select>'
    return f'<p>{name} · <a href="./docs">{escape(texts.api)}</a></p>{switch}'


def _scores(scores: Mapping[str, Any], texts: Texts) -> list[str]:
    if "accuracy" not in scores:
        return [texts.about_no_metrics]
    interval = scores.get("intervals", {}).get("accuracy")
    span = texts.about_interval.format(low=texts.share(interval[0]), high=texts.share(interval[1])) if interval else ""
    n = texts.number(scores["n"]) if "n" in scores else "?"
    sentences = [texts.about_accuracy.format(n=n, accuracy=texts.share(scores["accuracy"]), interval=span)]
    verdicts = scores.get("verdicts", {})
    if verdicts.get("accuracy_when_answered") is not None:
        answered, right = verdicts["answered"], verdicts["accuracy_when_answered"]
        sentences.append(texts.about_answered.format(answered=texts.share(answered), accuracy=texts.share(right)))
    return sentences


def _limits(metadata: Metadata, texts: Texts) -> str:
    neither = texts.verdict(NEITHER, metadata.labels)
    others = texts.about_turned_away.format(neither=neither) if metadata.verdict.neither else texts.about_others
    return texts.about_limits.format(labels=texts.listed(metadata.labels), others=others)


def _plot(model: Model, texts: Texts) -> str:
    """The calibration plot that training left in the model's folder, if it did."""
    if model.folder is None or not (model.folder / CALIBRATION_PLOT).is_file():
        return ""
    image = f'<img src="./page/calibration.png" alt="{escape(texts.about_plot_alt)}" width="360" loading="lazy">'
    return f"<p>{escape(texts.about_plot)}</p>{image}"


def _bar(label: str, probability: float, texts: Texts, *, top: bool) -> str:
    name, value = escape(texts.shown(label)), escape(texts.percent(probability))
    width = f"{100 * probability:.2f}"
    return (
        f'<li class="{"top" if top else "other"}"><span class="name">{name}</span>'
        f'<span class="track" aria-hidden="true"><span class="fill" style="width:{width}%"></span></span>'
        f'<span class="value">{value}</span></li>'
    )


def _button(name: str, text: str, attributes: str = "") -> str:
    return f'<button type="button" id="{name}" {attributes}>{escape(text)}</button>'


def _choice(value: str, text: str) -> str:
    return f'<label><input type="radio" name="choice" value="{escape(value)}"><span>{escape(text)}</span></label>'
