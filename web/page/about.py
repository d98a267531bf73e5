"""What the model is and how good it is, from its own metadata, in words for visitors."""

from collections.abc import Mapping
from html import escape
from typing import Any

from catdog.model.metadata import NEITHER
from catdog.model.model import Model
from web.i18n.texts import Texts

CALIBRATION_PLOT = "reliability.png"


def about_html(model: Model, texts: Texts) -> str:
    """The folded section at the foot of the page."""
    sentences = [*_scores(model.metadata.metrics.get("test", {}), texts), _limits(model, texts)]
    if learned := corrections_learned(model):
        sentences.insert(-1, texts.about_learned.format(n=texts.number(learned)))
    paragraphs = "".join(f"<p>{escape(each)}</p>" for each in sentences)
    revision = f"<p>{escape(texts.about_revision)}: <code>{escape(model.revision)}</code></p>"
    return f"<details><summary>{escape(texts.about)}</summary>{paragraphs}{revision}{_plot(model, texts)}</details>"


def corrections_learned(model: Model) -> int:
    """How many corrections this model was trained with, as retraining recorded them."""
    rows = model.metadata.training.get("feedback", {}).get("rows", ())
    return len(rows) if isinstance(rows, list | tuple) else 0


def _scores(scores: Mapping[str, Any], texts: Texts) -> list[str]:
    if "accuracy" not in scores:
        return [texts.about_no_metrics]
    interval = scores.get("intervals", {}).get("accuracy")
    span = texts.about_interval.format(low=texts.share(interval[0]), high=texts.share(interval[1])) if interval else ""
    told = [
        texts.about_accuracy.format(
            n=texts.number(scores["n"]) if "n" in scores else "?",
            accuracy=texts.share(scores["accuracy"]),
            interval=span,
        )
    ]
    verdicts = scores.get("verdicts", {})
    if verdicts.get("accuracy_when_answered") is not None:
        answered, right = verdicts["answered"], verdicts["accuracy_when_answered"]
        told.append(texts.about_answered.format(answered=texts.share(answered), accuracy=texts.share(right)))
    return told


def _limits(model: Model, texts: Texts) -> str:
    neither = texts.verdict(NEITHER, model.labels)
    others = texts.about_turned_away.format(neither=neither) if model.metadata.verdict.neither else texts.about_others
    return texts.about_limits.format(labels=", ".join(map(texts.name, model.labels)), others=others)


def _plot(model: Model, texts: Texts) -> str:
    """The calibration plot that training left in the model's folder, if it did."""
    if model.folder is None or not (model.folder / CALIBRATION_PLOT).is_file():
        return ""
    image = f'<img src="./page/calibration.png" alt="{escape(texts.about_plot_alt)}" width="360" loading="lazy">'
    return f"<p>{escape(texts.about_plot)}</p>{image}"
