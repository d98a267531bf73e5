"""The one Hub client: where the Hub is, which token to use, how long to wait, and its errors as one of ours."""

import hashlib
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self, TypeVar

from catdog.errors import CatdogError, HubError, SettingsError
from catdog.settings import Settings

if TYPE_CHECKING:
    from huggingface_hub import HfApi, HfFileSystem

_CONNECT_S, _RESPONSE_S = 10.0, 120.0
_CONFLICT_ATTEMPTS = 6
_MAX_RETRY_AFTER_S = 3600.0
_REASONS = {
    400: "the Hub does not accept the request ({detail})",
    401: "the token in HF_TOKEN is not valid. Set HF_TOKEN to a valid token",
    402: "a Space that runs code needs a paid plan or credit; `python -m deploy static` makes one that is free",
    403: "the token in HF_TOKEN does not have permission. Use a token with write access",
    404: "there is no such repository or file, or HF_TOKEN may not read it. Check the name and the token",
    409: "somebody else changed it at the same time. Try again",
    412: "somebody else changed it at the same time. Try again",
    429: "the Hub asks to wait because of its rate limit. Try again later",
}

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What identifies the content of a file on the Hub."""

    sha256: str | None
    """For files stored by LFS or Xet."""
    git_oid: str

    def holds(self, content: bytes) -> bool:
        """Whether this is the file's content."""
        if self.sha256 is not None:
            return hashlib.sha256(content).hexdigest() == self.sha256
        blob = b"blob %d\0%b" % (len(content), content)
        return hashlib.sha1(blob, usedforsecurity=False).hexdigest() == self.git_oid


class HubClient:
    """One hub and one token. Importing this module is cheap: `huggingface_hub` is imported on first use."""

    def __init__(self, endpoint: str, token: str | None = None) -> None:
        self.endpoint = endpoint
        self.token = token

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The client for the settings' endpoint and token; without a token, the one `hf auth login` stored is used."""
        return cls(settings.hf_endpoint, settings.hf_token.get_secret_value() if settings.hf_token else None)

    @cached_property
    def api(self) -> "HfApi":
        """The Hub's API. Call it inside `errors()`."""
        from huggingface_hub import HfApi  # noqa: PLC0415 - a second of imports

        return HfApi(endpoint=self.endpoint, token=self.token)

    @cached_property
    def files(self) -> "HfFileSystem":
        """Repositories as a file system. Call it inside `errors()`."""
        from huggingface_hub import HfFileSystem  # noqa: PLC0415

        return HfFileSystem(endpoint=self.endpoint, token=self.token, skip_instance_cache=True)

    @contextmanager
    def errors(self, action: str, *, passes: tuple[type[Exception], ...] = ()) -> Iterator[None]:
        """Turn anything that `huggingface_hub` raises in the block into one sentence: "Could not {action}: ...".

        Args:
            action: What the block does, such as "read the model me/pets".
            passes: Exceptions of the library that the caller handles itself.

        Raises:
            HubError: the Hub can't be reached, or refuses; `status` and `retry_after_s` say how.
            SettingsError: no repository can have this name.
        """
        import httpx2  # noqa: PLC0415 - the Hub library's HTTP client
        from huggingface_hub import errors, get_session  # noqa: PLC0415

        get_session().timeout = httpx2.Timeout(_RESPONSE_S, connect=_CONNECT_S)  # by default it may wait forever
        try:
            yield
        except CatdogError:
            raise
        except passes:
            raise
        except errors.HFValidationError:
            raise SettingsError(f"Could not {action}: no repository can have this name. Write USER/NAME.") from None
        except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
            raise self._unreachable(action, error) from error
        except errors.HfHubHTTPError as error:
            raise _refused(action, error) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise self._unreachable(action, error) from error
        except (errors.EntryNotFoundError, errors.XetDownloadError, errors.FileMetadataError, RuntimeError) as error:
            raise HubError(f"Could not {action}: {_first_line(error)}. Try again.") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:  # it takes any response for the Hub's
            raise HubError(
                f"Could not {action}: {self.endpoint} does not respond like the Hub ({type(error).__name__}). "
                "Check HF_ENDPOINT."
            ) from error

    def _unreachable(self, action: str, error: Exception) -> HubError:
        return HubError(
            f"Could not {action}: {self.endpoint} cannot be reached ({type(error).__name__}). "
            "Check the network and HF_ENDPOINT, and try again."
        )


def retry_conflicts(attempt: Callable[[], Result]) -> Result:
    """Repeat a commit that lost a race against somebody else's, a few times.

    Args:
        attempt: Reads the newest commit and commits on top of it.

    Raises:
        HubError: another failure, or too many conflicts in a row.
    """
    for _ in range(_CONFLICT_ATTEMPTS - 1):
        try:
            return attempt()
        except HubError as error:
            if not error.is_conflict:
                raise
    return attempt()


def _refused(action: str, error: Exception) -> HubError:
    """The Hub's refusal; `error` is a `HfHubHTTPError`."""
    from huggingface_hub import errors  # noqa: PLC0415

    assert isinstance(error, errors.HfHubHTTPError)
    status = int(error.response.status_code)
    detail = error.server_message or "no reason given"
    if isinstance(error, errors.RevisionNotFoundError):
        reason = "there is no such revision. Check its name"
    elif isinstance(error, errors.RepositoryNotFoundError) and status != 401:  # noqa: PLR2004
        reason = "there is no such repository, or HF_TOKEN may not read it. Check the name and the token"
    else:
        reason = _REASONS.get(status, "the Hub responded with {status} ({detail}). Try again")
    sentence = reason.format(status=status, detail=" ".join(detail.split()).rstrip(".")[:300])
    retry_after_s = _retry_after(error.response.headers.get("Retry-After"))
    return HubError(f"Could not {action}: {sentence}.", status=status, retry_after_s=retry_after_s)


def _retry_after(value: str | None) -> float | None:
    """Seconds, spread a little so that clients don't all return at once; None for none, or for a date."""
    if value is None or not value.strip().isdigit():
        return None
    return min(float(value), _MAX_RETRY_AFTER_S) + random.uniform(0, 1)  # noqa: S311 - no secret


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
