"""The audit sample: pictures kept at random, with consent, to learn how often the model is right.

What people correct is not a random sample; these rows are. Nobody has answered them: their `corrected_label` is
`unsure` until the maintainer decides. They have no client, so that no later answer of a person replaces them.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from catdog.model.metadata import RESERVED_LABELS
from feedback.decision import ReviewedRow, Status


@dataclass(frozen=True, slots=True)
class AuditCount:
    """What the audit sample says about one revision of a model."""

    model_id: str
    model_revision: str
    sampled: int
    reviewed: int
    judged: int
    """Reviewed, and showing one of the labels."""
    right: int
    """Of these, how many the model got right."""

    @property
    def neither(self) -> int:
        """Reviewed, and showing none of the labels, or nobody can tell which."""
        return self.reviewed - self.judged


def count_audits(reviewed: Iterable[ReviewedRow]) -> list[AuditCount]:
    """Count the audit sample by revision; other rows are passed over, and rejected ones count as not sampled."""
    rows: defaultdict[tuple[str, str], list[ReviewedRow]] = defaultdict(list)
    for each in reviewed:
        if each.row.is_audit and each.status is not Status.REJECTED:
            rows[each.row.model_id, each.row.model_revision].append(each)
    return [_count(*revision, found) for revision, found in sorted(rows.items())]


def _count(model_id: str, model_revision: str, rows: list[ReviewedRow]) -> AuditCount:
    decided = [each for each in rows if each.status is Status.ACCEPTED]
    judged = [each for each in decided if each.label not in RESERVED_LABELS]
    right = sum(each.label == each.row.predicted_label for each in judged)
    return AuditCount(model_id, model_revision, len(rows), len(decided), len(judged), right)
