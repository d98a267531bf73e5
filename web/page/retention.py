"""What becomes of a photo and for how long it is kept, in words for the person who shows it."""

from dataclasses import dataclass

from web.i18n.texts import Texts
from web.page.upload_folder import KEPT_S
from web.service.predictions import MAX_AGE_S

_MINUTE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long this service keeps what."""

    hub_days: float | None = None
    """When pictures that the Hub has leave this server; None where they go to no Hub."""
    upload_s: float = KEPT_S
    """How long a file lies in the folder of uploads."""
    memory_s: float = MAX_AGE_S
    """How long a prediction can be corrected."""
    audits: bool = False
    """Whether visitors are asked to let a photo be kept at random."""


def consent(retention: Retention, texts: Texts) -> str:
    """The line under the answer: what is kept without being asked, and what once a person has agreed or answered."""
    kept = texts.kept_here if retention.hub_days is None else texts.kept_on_hub.format(days=f"{retention.hub_days:g}")
    told = texts.consent.format(
        upload=f"{retention.upload_s / _MINUTE_S:g}", memory=f"{retention.memory_s / _MINUTE_S:g}", kept=kept
    )
    return f"{told} {texts.consent_audit}" if retention.audits else told
