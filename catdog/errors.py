"""The exception tree, drawn once. Third-party errors become one of these where the library is called.

    CatdogError
    ├── SettingsError             wrong usage or settings (exit 2)
    ├── ModelError                a model folder is missing or damaged (exit 2)
    ├── HubError                  the Hub cannot be reached or refuses
    ├── DataError                 training data that cannot be used
    ├── StoppedError              a command was interrupted; the message says how to go on
    ├── GateRefusedError          a new model is not good enough to be published (exit 3)
    ├── ServiceError              a deployed service does not answer as it must
    ├── ImageError
    │   ├── UnreadableImageError
    │   └── ImageTooLargeError
    ├── UrlError
    │   ├── UrlRefusedError       bad, private, unresolvable or unreachable: one text for all
    │   ├── UrlNotImageError
    │   └── UrlFailedError
    ├── FeedbackError             the journal cannot keep what it was given
    │   ├── UnknownLabelError
    │   ├── UnknownRequestError
    │   ├── UnknownRowError
    │   └── KeyReusedError
    ├── BusyError                 too much work is waiting
    └── RateLimitedError          one client asks for too much

Every message says what happened and what to do, in words for the person who caused it.
"""

from typing import ClassVar


class CatdogError(Exception):
    """A failure that its message explains.

    `code` is the machine-readable name that the REST API answers with; `exit_code` is what a command ends with.
    """

    code: ClassVar[str] = "internal_error"
    exit_code: ClassVar[int] = 1


class SettingsError(CatdogError):
    """A setting or an argument is wrong."""

    code = "invalid_settings"
    exit_code = 2


class ModelError(CatdogError):
    """A model folder is missing, incomplete or damaged."""

    code = "no_model"
    exit_code = 2


class HubError(CatdogError):
    """The Hub can't be reached, or refuses the request.

    `status` is the HTTP status of its response, None if there was none; `retry_after_s` is how long it asks to wait.
    """

    code = "hub_failed"

    def __init__(self, message: str, *, status: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s

    @property
    def is_refusal(self) -> bool:
        """Whether the Hub certainly did nothing; after a timeout or a 5xx it may have committed."""
        return self.status is not None and self.status // 100 == 4  # noqa: PLR2004

    @property
    def is_conflict(self) -> bool:
        """Whether somebody else committed in between."""
        return self.status in (409, 412)


class DataError(CatdogError):
    """Training or evaluation data that cannot be used."""

    code = "bad_data"


class StoppedError(CatdogError):
    """A command was interrupted, by its user or by the system."""

    code = "stopped"


class GateRefusedError(CatdogError):
    """A new model is not shown to be better than the one it would replace."""

    code = "gate_refused"
    exit_code = 3


class ServiceError(CatdogError):
    """A deployed service does not answer, or not as it must."""

    code = "service_failed"


class ImageError(CatdogError):
    """An image that cannot be classified."""


class UnreadableImageError(ImageError):
    """The bytes are not an image of an accepted format, or are cut short."""

    code = "unreadable_image"


class ImageTooLargeError(ImageError):
    """The image has more bytes or more pixels than the limits allow."""

    code = "image_too_large"


class UrlError(CatdogError):
    """An address from which no image could be fetched."""


class UrlRefusedError(UrlError):
    """The address is malformed, private, unresolvable or unreachable; which of these is not told."""

    code = "url_refused"


class UrlNotImageError(UrlError):
    """A public host answered with something that is not an image."""

    code = "url_not_image"


class UrlFailedError(UrlError):
    """A public host answered with an error, or too slowly."""

    code = "url_failed"


class FeedbackError(CatdogError):
    """A correction that could not be kept."""

    code = "feedback_failed"


class DiskFullError(FeedbackError):
    """Nothing can be saved until there is room on the disk again."""


class UnknownLabelError(FeedbackError):
    """The corrected label is none that the model knows, nor `neither` or `unsure`."""

    code = "unknown_label"


class UnknownRequestError(FeedbackError):
    """No prediction is remembered under this request id."""

    code = "unknown_request"


class UnknownRowError(FeedbackError):
    """There is no feedback row with this id, or none any more."""

    code = "not_found"


class KeyReusedError(FeedbackError):
    """An idempotency key was used before, for another correction."""

    code = "invalid_request"


class BusyError(CatdogError):
    """Too much work is waiting; trying again later helps."""

    code = "busy"


class RateLimitedError(CatdogError):
    """One client asks for more than its share; it may ask again after `retry_after_s` seconds."""

    code = "rate_limited"

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
