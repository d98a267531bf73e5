"""The model card: `model_card.md` filled in from the metadata alone."""

from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from catdog.model.metadata import Metadata
from catdog.settings import PROJECT_ROOT
from train.evaluation.comparison import as_markdown

CARD_FILE = "README.md"
TEMPLATE = PROJECT_ROOT / "model_card.md"

_SHARES = ("accuracy", "ece")
_LICENCES = {"apache-2.0": "Apache 2.0", "mit": "the MIT licence"}
_METRICS = {"accuracy": "Accuracy", "auc": "ROC AUC", "log_loss": "Log loss", "ece": "Expected calibration error"}


def render_card(metadata: Metadata, *, repo_id: str | None = None, template: Path = TEMPLATE) -> str:
    """The text of `README.md` for a model folder.

    Args:
        metadata: All numbers come from here.
        repo_id: The Hub repository, for the examples; None shows how to load the folder itself.
        template: A Jinja template with the front matter's place marked by `card_data`.
    """
    title = repo_id.split("/")[-1] if repo_id else f"{metadata.architecture}: {', '.join(metadata.labels)}"
    license_ = str(metadata.training.get("license"))
    card = ModelCard.from_template(
        _card_data(metadata, title),
        template_path=str(template),
        metadata=metadata,
        title=title,
        repo_id=repo_id,
        metric_names=_METRICS,
        value=_value,
        share=_share,
        licence=_LICENCES.get(license_, license_),
        comparison=as_markdown(metadata.metrics.get("comparison", {}).get("rows", ())),
    )
    return f"{str(card).rstrip()}\n"


def _card_data(metadata: Metadata, title: str) -> ModelCardData:
    data, init = metadata.training["data"], metadata.training["init"]["name"]
    return ModelCardData(
        license=metadata.training.get("license"),
        library_name="timm",
        pipeline_tag="image-classification",
        tags=["image-classification", "timm", "onnx", "transformers.js", *metadata.labels],
        datasets=[data["name"]] if data["revision"] else None,
        base_model=init if init.count("/") == 1 else None,
        model_name=title,
        eval_results=_results(metadata, data["name"]) or None,
    )


def _results(metadata: Metadata, data: str) -> list[EvalResult]:
    test = metadata.metrics.get("test", {})
    return [
        EvalResult(
            task_type="image-classification",
            dataset_type=data,
            dataset_name=data,
            dataset_split="test",
            metric_type=key,
            metric_name=name,
            metric_value=round(test[key], 5),
        )
        for key, name in _METRICS.items()
        if test.get(key) is not None
    ]


def _value(metrics: dict[str, Any], key: str) -> str:
    """One metric with its 95% interval; accuracy and ECE as percentages."""
    if metrics[key] is None:
        return "-"
    low, high = metrics["intervals"][key]
    if key in _SHARES:
        return f"{_share(metrics[key])} ({_share(low)} to {_share(high)})"
    return f"{metrics[key]:.4f} ({low:.4f} to {high:.4f})"


def _share(value: float) -> str:
    return f"{100 * value:.2f}%"
