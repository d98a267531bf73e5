"""Who may do what: tokens with a user's name and a role, and upload addresses signed by this server."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Self, get_args

from catdog.errors import SettingsError
from devhub.refusal import RefusedError
from devhub.storage.files import read_json, write_json
from devhub.storage.names import RepoName

Role = Literal["read", "write"]
DEFAULT_USER = "local"
_FILE = "tokens.json"
_MIN_LENGTH = 8
_UPLOAD_VALID_S = 3600


@dataclass(frozen=True, slots=True)
class Token:
    """A user's name, the secret that proves it, and what it allows. Every user sees every repository."""

    name: str
    """Also the namespace of repositories that are created without one."""
    token: str
    role: Role

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `NAME=VALUE:role`.

        Raises:
            SettingsError: it does not look like that.
        """
        name, _, rest = text.partition("=")
        value, _, role = rest.rpartition(":")
        if not value:
            raise SettingsError("A token is given as NAME=VALUE:read or NAME=VALUE:write.")
        return cls.checked(name, value, role)

    @classmethod
    def checked(cls, name: object, token: object, role: object) -> Self:
        """A token from untrusted parts.

        Raises:
            SettingsError: a part does not fit.
        """
        if not isinstance(name, str) or not isinstance(token, str) or len(token) < _MIN_LENGTH or not token.isascii():
            raise SettingsError(f"A token needs a name and a value of at least {_MIN_LENGTH} characters.")
        try:
            RepoName.parse("models", name, "x")
        except RefusedError:
            raise SettingsError(f"{name!r} cannot be a user's name.") from None
        if role not in get_args(Role):
            raise SettingsError(f"The token of {name} has the role {role!r}; it must be read or write.")
        return cls(name, token, role)  # type: ignore[arg-type]  # narrowed by get_args, which mypy does not follow


class Tokens:
    """The tokens that a server accepts."""

    def __init__(self, tokens: Iterable[Token]) -> None:
        self._tokens = tuple(tokens)

    def identify(self, authorization: str | None) -> Token | None:
        """The token in an `Authorization` header; None without such a header.

        Raises:
            RefusedError: 401, it is none of ours.
        """
        if authorization is None:
            return None
        scheme, _, value = authorization.partition(" ")
        given = value.strip().encode()
        known = [token for token in self._tokens if hmac.compare_digest(token.token.encode(), given)]
        if scheme.lower() != "bearer" or not known:
            raise RefusedError(401, "Invalid credentials in Authorization header")
        return known[0]


def load_tokens(root: Path) -> tuple[list[Token], bool]:
    """The tokens in a hub's folder; at the first start one is made, with the right to write.

    Returns:
        The tokens, and whether they are new.

    Raises:
        SettingsError: the file is damaged.
    """
    path = root / _FILE
    if not path.exists():
        tokens = [Token(DEFAULT_USER, f"hf_{secrets.token_urlsafe(24)}", "write")]
        write_json(path, [asdict(token) for token in tokens])
        return tokens, True
    try:
        return [Token.checked(item["name"], item["token"], item["role"]) for item in read_json(path)], False
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{path} cannot be read ({type(error).__name__}): correct it, or delete it for a new token."
        ) from None


class Signer:
    """Signs an upload, and recognises its own signatures. The key lives as long as the process."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def sign(self, text: str) -> str:
        """A permission for what `text` describes, valid for an hour."""
        expires = str(int(time.time()) + _UPLOAD_VALID_S)
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
