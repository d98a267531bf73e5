"""Upload addresses that carry their own permission: the client sends no token with the bytes."""

import hashlib
import hmac
import secrets
import time

from devhub.refusal import RefusedError

_VALID_S = 3600


class Signer:
    """Signs an upload, and recognises its own signatures. The key lives as long as the process."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def sign(self, text: str) -> str:
        """A permission for what `text` describes, valid for an hour."""
        expires = str(int(time.time()) + _VALID_S)
        return f"{expires}.{self._mac(text, expires)}"

    def check(self, text: str, signature: str) -> None:
        """Recognise a permission.

        Raises:
            RefusedError: 403, it is not ours, for something else, or too old.
        """
        expires, _, mac = signature.partition(".")
        genuine = hmac.compare_digest(mac.encode(), self._mac(text, expires).encode())
        if not genuine or int(expires) < time.time():
            raise RefusedError(403, "The upload address is wrong or too old. Ask for a new one.")

    def _mac(self, text: str, expires: str) -> str:
        return hmac.new(self._key, f"{text} {expires}".encode(), hashlib.sha256).hexdigest()
