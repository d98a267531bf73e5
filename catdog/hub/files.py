"""Files of Hub data sets, read in place: only the bytes that are needed come over the network."""

from contextlib import AbstractContextManager
from typing import IO, cast

from catdog.errors import SettingsError
from catdog.hub.client import HubClient
from catdog.settings import Settings

HUB_SCHEME = "hf://"
_DATASETS = "hf://datasets/"


class HubFiles:
    """Reads files of data sets on the Hub that the settings name."""

    def __init__(self, settings: Settings) -> None:
        self._client = HubClient.of(settings)

    def list(self, address: str) -> list[str]:
        """List the files of `hf://datasets/USER/NAME[@REVISION]`, sorted, each with the commit in its address.

        Raises:
            SettingsError: the address is malformed.
            HubError: the Hub can't be reached, or refuses.
        """
        name, _, revision = address.removeprefix(_DATASETS).partition("@")
        if not address.startswith(_DATASETS) or name.count("/") != 1:
            raise SettingsError(f"{address} is not a data set. Write hf://datasets/USER/NAME, or add @REVISION.")
        with self.errors(address):
            info = self._client.api.dataset_info(name, revision=revision or None)
        names = sorted(file.rfilename for file in info.siblings or ())
        return [f"{_DATASETS}{name}@{info.sha}/{each}" for each in names]

    def open(self, address: str) -> IO[bytes]:
        """Open one of these files for reading.

        Raises:
            HubError: see `list`. Reading may fail too: wrap it in `errors`.
        """
        with self.errors(address):
            return cast("IO[bytes]", self._client.files.open(address, "rb"))

    def errors(self, address: str) -> AbstractContextManager[None]:
        """Turn what the client raises while reading into a `HubError`."""
        return self._client.errors(f"read {address}")
