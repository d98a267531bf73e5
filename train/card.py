"""The model card: `model_card.md` filled in from the metadata alone."""

from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from catdog.metadata import WEIGHTS_FILE, Metadata
from catdog.settings import PROJECT_ROOT

CARD_FILE = "README.md"
TEMPLATE = PROJECT_ROOT / "model_card.md"

_METRICS = {"accuracy": "Accuracy", "auc": "ROC AUC", "log_loss": "Log loss", "ece": "Expected calibration error"}


def render_card(metadata: Metadata, *, repo_id: str | None = None, template: Path = TEMPLATE) -> str:
    """The text of `README.md` for a model folder.

    Args:
        metadata: All numbers come from here.
        repo_id: The Hub repository, for the examples; None shows how to load the folder itself.
        template: A Jinja template with the front matter's place marked by `card_data`.
    """
    card = ModelCard.from_template(
        _card_data(metadata, repo_id),
        template_path=str(template),
        metadata=metadata,
        repo_id=repo_id,
        metric_names=_METRICS,
        weights_file=WEIGHTS_FILE,
        share=_share,
        interval=_interval,
    )
    return f"{str(card).rstrip()}\n"


def _card_data(metadata: Metadata, repo_id: str | None) -> ModelCardData:
    data = metadata.training.get("data", {})
    return ModelCardData(
        license="apache-2.0",
        library_name="timm",
        pipeline_tag="image-classification",
        tags=["image-classification", "timm", "onnx", "transformers.js", *metadata.labels],
        datasets=[data["name"]] if data.get("revision") else None,
        base_model=_base_model(metadata),
        model_name=repo_id.split("/")[-1] if repo_id else f"{metadata.architecture} for {', '.join(metadata.labels)}",
        eval_results=_results(metadata, data) or None,
    )


def _base_model(metadata: Metadata) -> str | None:
    init = metadata.training.get("init", {}).get("name", "")
    return init if init.count("/") == 1 else None


def _results(metadata: Metadata, data: dict[str, Any]) -> list[EvalResult]:
    test = metadata.metrics.get("test", {})
    return [
        EvalResult(
            task_type="image-classification",
            dataset_type=data.get("name", "unknown"),
            dataset_name=data.get("name", "unknown"),
            dataset_split="test",
            metric_type=key,
            metric_name=name,
            metric_value=round(test[key], 5),
        )
        for key, name in _METRICS.items()
        if test.get(key) is not None
    ]


def _share(value: float) -> str:
    """A share as a percentage."""
    return f"{100 * value:.2f} %"


def _interval(metrics: dict[str, Any], key: str) -> str:
    """The 95 % interval of one metric; accuracy and ECE as percentages."""
    low, high = metrics["intervals"][key]
    return f"{_share(low)} to {_share(high)}" if key in ("accuracy", "ece") else f"{low:.4f} to {high:.4f}"
