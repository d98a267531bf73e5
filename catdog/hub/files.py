"""Files of data sets on the Hub, read where they are: only the bytes that are needed come over the network."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import IO, TYPE_CHECKING, cast

from catdog.errors import HubError, SettingsError
from catdog.settings import Settings

if TYPE_CHECKING:
    from huggingface_hub import HfFileSystem

HUB_SCHEME = "hf://"
_DATASETS = "hf://datasets/"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What identifies the content of a file on the Hub."""

    sha256: str | None
    """Of files that are stored by LFS or Xet."""
    git_oid: str

    def holds(self, content: bytes) -> bool:
        """Whether the content is this."""
        if self.sha256 is not None:
            return hashlib.sha256(content).hexdigest() == self.sha256
        blob = b"blob %d\0%b" % (len(content), content)
        return hashlib.sha1(blob, usedforsecurity=False).hexdigest() == self.git_oid


class HubFiles:
    """The Hub that the settings name."""

    def __init__(self, settings: Settings) -> None:
        self._endpoint = settings.hf_endpoint
        self._token = settings.hf_token.get_secret_value() if settings.hf_token else None

    def list(self, address: str) -> list[str]:
        """The files of `hf://datasets/USER/NAME[@REVISION]`, sorted, each with the commit in its address.

        Raises:
            SettingsError: it is no such address.
            HubError: the Hub cannot be reached, or refuses.
        """
        from huggingface_hub import HfApi  # noqa: PLC0415 - a second of imports that local files do without

        name, _, revision = address.removeprefix(_DATASETS).partition("@")
        if not address.startswith(_DATASETS) or name.count("/") != 1:
            raise _no_data_set(address)
        with self.translated(address):
            info = HfApi(endpoint=self._endpoint, token=self._token).dataset_info(name, revision=revision or None)
        names = sorted(file.rfilename for file in info.siblings or ())
        return [f"{_DATASETS}{name}@{info.sha}/{each}" for each in names]

    def open(self, address: str) -> IO[bytes]:
        """Open one of these files for reading.

        Raises:
            HubError: see `list`. Reading may fail as well, see `translated`.
        """
        with self.translated(address):
            return cast("IO[bytes]", self._files.open(address, "rb"))

    @contextmanager
    def translated(self, address: str) -> Iterator[None]:
        """Turn what the client raises into a `HubError`, or a `SettingsError` for a name that nothing can have."""
        import httpx2  # noqa: PLC0415 - the Hub client's HTTP library; its connection errors are no OSError
        from huggingface_hub.errors import HFValidationError  # noqa: PLC0415

        try:
            yield
        except HFValidationError:
            raise _no_data_set(address) from None
        except (httpx2.HTTPError, OSError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise HubError(
                f"{address} could not be read from {self._endpoint}: {reason}. Check name, network and HF_TOKEN."
            ) from error

    @cached_property
    def _files(self) -> "HfFileSystem":
        from huggingface_hub import HfFileSystem  # noqa: PLC0415

        return HfFileSystem(endpoint=self._endpoint, token=self._token, skip_instance_cache=True)


def _no_data_set(address: str) -> SettingsError:
    return SettingsError(f"{address} is no data set on the Hub. Write hf://datasets/USER/NAME, or add @REVISION.")
