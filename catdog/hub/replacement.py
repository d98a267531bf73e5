"""What must not change by accident when one model takes another's place: labels, input, and how good it is.

Asked before a model is published, promoted, or served instead of the one that is live.
"""

from catdog.errors import SettingsError
from catdog.model.metadata import WEIGHTS_FILE, Metadata, Preprocessing

MAX_ACCURACY_LOSS = 0.001
"""Of test accuracy; one picture of the test set may be lost where that is more."""


def surprises(old: Metadata, new: Metadata) -> tuple[str, ...]:
    """What somebody who relies on the old model would not expect of the new one, a clause each; empty if nothing."""
    return tuple(found for found in (_labels(old, new), _input(old, new), _score(old, new)) if found)


def require_no_surprise(old: Metadata, new: Metadata, *, what: str, than: str, allow: str) -> None:
    """Refuse a model that is unlike the one it would replace.

    Args:
        old: Of the model that is there.
        new: Of the one that is to come.
        what: The new one, for the message.
        than: The old one, for the message.
        allow: The option or setting that lets it pass, for the message.

    Raises:
        SettingsError: something differs.
    """
    if found := surprises(old, new):
        raise SettingsError(f"{what} differs from {than}: {'; '.join(found)}. If you want that, {allow}.")


def _labels(old: Metadata, new: Metadata) -> str:
    """Their order matters too: programs read `probabilities` by position."""
    if old.labels == new.labels and old.positive_label == new.positive_label:
        return ""
    if old.labels == new.labels:
        return f"its positive label is {new.positive_label}, not {old.positive_label}"
    return f"its labels are {', '.join(new.labels)}, not {', '.join(old.labels)}"


def _input(old: Metadata, new: Metadata) -> str:
    changed = [
        f"{name} {getattr(new.preprocessing, name)}, not {getattr(old.preprocessing, name)}"
        for name in Preprocessing.model_fields
        if getattr(old.preprocessing, name) != getattr(new.preprocessing, name)
    ]
    return f"its input differs ({', '.join(changed)})" if changed else ""


def _score(old: Metadata, new: Metadata) -> str:
    """Nothing where the old model was never scored, or where the gate has compared the two already."""
    before, after = (each.metrics.get("test") or {} for each in (old, new))
    if before.get("accuracy") is None or _is_child(old, new):
        return ""
    if after.get("accuracy") is None:
        return "it has no test accuracy"
    allowed = max(MAX_ACCURACY_LOSS, 1 / max(1, int(after.get("n") or 1)))
    if after["accuracy"] >= before["accuracy"] - allowed - 1e-9:
        return ""
    return f"its test accuracy is {after['accuracy']:.2%}, not {before['accuracy']:.2%}"


def _is_child(old: Metadata, new: Metadata) -> bool:
    """Whether the new model was retrained from the old one, so that the gate decided about it."""
    base = new.training.get("base") or {}
    sha256 = base.get("sha256")
    return sha256 is not None and sha256 == old.sha256(WEIGHTS_FILE)
