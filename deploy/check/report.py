"""The evaluation of a deployment in words: what was measured, on what, and what the figures cannot tell."""

from collections import Counter
from collections.abc import Iterator, Sequence

from catdog.cli import counted
from catdog.model.metadata import Metadata
from deploy.check.evaluate import Evaluation, wilson
from feedback.review.audit import AuditCount
from feedback.stats import Stats

_SHOWN = 5


def describe(evaluation: Evaluation, metadata: Metadata | None) -> list[str]:
    """What the pictures showed.

    Args:
        evaluation: The answers.
        metadata: Of the same model, for the figure that was measured before it was published.
    """
    n, right = len(evaluation.results), evaluation.right
    revisions = Counter(result.model_revision for result in evaluation.results)
    return [
        f"{counted(n, 'picture')} answered by {' and '.join(revisions)}",
        f"live accuracy: {_share(right, n)}",
        *_offline(evaluation),
        *_published(evaluation, metadata),
        *_problems("could not be read by the service", evaluation.refused),
        *_problems("got no answer", evaluation.failed),
    ]


def describe_feedback(stats: Stats, audits: Sequence[AuditCount]) -> list[str]:
    """What people said, per revision; and what the random sample says, which is the only one to estimate accuracy."""
    return [
        "",
        "what people said (biased: who presses a button is not a random visitor; these rates are not the accuracy):",
        *(list(_rates(stats)) or ["  nothing yet"]),
        "",
        "random sample of consenting uploads, reviewed:",
        *([f"  {line}" for line in map(_audit, audits)] or ["  none; CATDOG_AUDIT_SHARE above 0 collects one"]),
    ]


def _offline(evaluation: Evaluation) -> Iterator[str]:
    offline, n = evaluation.offline, len(evaluation.results)
    if offline is None:
        yield "not compared with the model offline: this machine has none of the revision that answered (--model)"
        return
    difference = 100 * (evaluation.right / n - offline.right / offline.compared)
    yield f"offline accuracy of the same revision, same pictures: {_share(offline.right, offline.compared)}"
    yield (
        f"disagreement: {offline.differ} of {offline.compared} pictures get another label online "
        f"({difference:+.2f} points of accuracy; confidence differs by {offline.largest_difference:.4f} at most)"
    )


def _published(evaluation: Evaluation, metadata: Metadata | None) -> Iterator[str]:
    test = (metadata.metrics or {}).get("test") if metadata else None
    if not test or "accuracy" not in test:
        return
    low, high = wilson(evaluation.right, len(evaluation.results))
    inside = "within" if low <= test["accuracy"] <= high else "OUTSIDE"
    yield f"accuracy on its own test split, when it was made: {test['accuracy']:.2%}, {inside} the live interval"


def _problems(what: str, problems: Sequence[str]) -> Iterator[str]:
    if problems:
        yield f"{counted(len(problems), 'picture')} {what}:"
        yield from (f"  {problem}" for problem in problems[:_SHOWN])


def _rates(stats: Stats) -> Iterator[str]:
    revisions = dict.fromkeys((answer.model_id, answer.model_revision) for answer in stats.answers)
    for model, revision in revisions:
        answers = [each for each in stats.answers if (each.model_id, each.model_revision) == (model, revision)]
        total = sum(each.requests for each in answers)
        confirmed = sum(each.requests for each in answers if each.is_confirmation)
        yield (
            f"  {model} {revision:.12}: {counted(total, 'answer')}, {(total - confirmed) / total:.1%} corrections, "
            f"{confirmed / total:.1%} confirmations"
        )


def _audit(count: AuditCount) -> str:
    told = f"{count.model_id} {count.model_revision:.12}: {count.sampled} sampled, {count.reviewed} reviewed"
    if count.judged:
        told += f", accuracy {_share(count.right, count.judged)}"
    if count.neither:
        told += f"; {count.neither} show none of the labels, or it cannot be told"
    if count.reviewed < count.sampled:
        told += "; review the rest, or the sample is none"
    return told


def _share(hits: int, n: int) -> str:
    low, high = wilson(hits, n)
    return f"{hits / n:.2%} (95% interval {low:.2%} to {high:.2%}, n {n})"
