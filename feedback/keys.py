"""Client hashes: they group the rows of one address for a month, and no longer tell the address after two.

Each month (UTC) has a random key of its own, a file in the data folder; 60 days after the month began it is destroyed.
Replicas that must agree share a secret instead, from which the keys of all months follow: then it is the operator who
destroys them, by changing the secret.
"""

import hashlib
import hmac
import logging
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

from catdog.errors import FeedbackError
from catdog.files import DISK_FULL, create_once

log = logging.getLogger(__name__)

KEYS_FOLDER = "client-keys"
KEY_LIFETIME = timedelta(days=60)
_KEY_BYTES = 32


class ClientKeys:
    """The keys of client hashes. Any number of threads and processes may use one folder."""

    def __init__(self, data_dir: Path, secret: str | None = None) -> None:
        self._folder = data_dir / KEYS_FOLDER
        self._secret = secret
        self._current: tuple[str, bytes] = ("", b"")

    def client_hash(self, address: str, *, now: datetime) -> str:
        """Hash a client's address: 32 hexadecimal digits, the same within a calendar month of UTC.

        Raises:
            FeedbackError: the key cannot be read or written.
        """
        month = f"{now.astimezone(UTC):%Y-%m}"
        current, key = self._current
        if current != month:
            key = self._key(month, now)
            self._current = (month, key)
        return hmac.digest(key, address.encode(), hashlib.sha256).hex()[:32]

    def destroy_expired(self, now: datetime) -> None:
        """Delete the keys of months that began 60 days ago or earlier.

        Raises:
            FeedbackError: a key cannot be deleted.
        """
        last_expired = f"{(now - KEY_LIFETIME).astimezone(UTC):%Y-%m}"
        try:
            for path in self._folder.glob("*.key"):
                if path.stem <= last_expired:
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise _failed(self._folder, error) from None

    def _key(self, month: str, now: datetime) -> bytes:
        if self._secret is not None:
            return hmac.digest(self._secret.encode(), f"client {month}".encode(), hashlib.sha256)
        self.destroy_expired(now)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return create_once(self._folder / f"{month}.key", secrets.token_bytes(_KEY_BYTES))
        except OSError as error:
            raise _failed(self._folder, error) from None


def _failed(folder: Path, error: OSError) -> FeedbackError:
    """What visitors may read; where the keys are is for the log alone."""
    if error.errno in DISK_FULL:
        log.error("No client key can be kept in %s: the disk is full. Make room.", folder)
        return FeedbackError("Your correction was NOT saved: the disk is full. Try again later.")
    log.error("The client keys in %s don't work: %s. Make the folder writable.", folder, error.strerror)
    return FeedbackError("Your correction was NOT saved: the server's client keys don't work. Try again later.")
