"""The app's sentences as JSON for the static page, which so says the same in the same words."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from catdog.model.metadata import NEITHER, UNSURE, possible_verdicts
from web.i18n import Texts

_HALF = 0.5
_ONE_PERCENT = 0.01


def page_texts(texts: Texts, labels: Sequence[str]) -> dict[str, Any]:
    """What `browser/texts.js` reads: sentences, and those that depend on labels, with `{percent}` left open."""
    answers = possible_verdicts(labels)
    values = {field.name: getattr(texts, field.name) for field in fields(texts)}
    sentences = {name: value for name, value in values.items() if isinstance(value, str)}
    return {
        "app": {"title": texts.title(labels), **sentences},
        "names": {label: texts.name(label).capitalize() for label in labels},
        "verdicts": {answer: texts.verdict(answer, labels) for answer in answers},
        "choices": {answer: texts.choice(answer, labels) for answer in answers},
        "sureness": {kind: _sureness(texts, kind, labels) for kind in ("label", NEITHER, UNSURE)},
        "why": {label: texts.why_explained.format(label=texts.name(label)) for label in labels},
        "percent": _percent(texts),
    }


def _sureness(texts: Texts, kind: str, labels: Sequence[str]) -> dict[str, str]:
    """How sure the model is, by label."""
    percent = texts.percent(_HALF)
    verdicts = {label: label if kind == "label" else kind for label in labels}
    return {label: texts.sureness(verdicts[label], label, _HALF).replace(percent, "{percent}") for label in labels}


def _percent(texts: Texts) -> dict[str, str | float]:
    """How probabilities are written: the bounds are in the words for what is beyond them."""
    above, below = texts.percent(1.0), texts.percent(0.0)
    return {
        "above": above,
        "below": below,
        "highest": _number(above),
        "lowest": _number(below),
        "other": texts.percent(_ONE_PERCENT).replace(f"1{texts.decimal_point}0", "{percent}"),
    }


def _number(text: str) -> float:
    return float("".join(each for each in text.replace(",", ".") if each.isdigit() or each == "."))
