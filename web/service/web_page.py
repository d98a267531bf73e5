"""A web page where a picture was expected: what to tell the person who gave its address."""

import html
import re
from urllib.parse import urljoin, urlsplit

_LOOKED_AT_BYTES = 200_000
_LONGEST = 500
_META = re.compile(r"<meta\s[^<>]{1,4000}>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""\b(property|name|content)\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_PICTURES = ("og:image", "og:image:secure_url", "og:image:url", "twitter:image")


def not_a_picture(data: bytes, url: str) -> str:
    """One sentence or two about what is at an address that holds no picture; of a web page, which picture it names.

    Nothing more is fetched: the suggestion is for the person, who may enter it.
    """
    if data.lstrip()[:1] != b"<":
        return (
            "What is at this address is no picture that can be read. Try another address, or send the picture itself."
        )
    if suggested := suggested_picture(data, url):
        return f"This address is a web page, not a picture. It names the picture {suggested} (og:image): try that."
    return "This address is a web page, not a picture. Open the picture there and copy its own address."


def suggested_picture(data: bytes, url: str) -> str | None:
    """The picture that a web page names for previews of itself (Open Graph protocol, https://ogp.me), if it is usable.

    Returns:
        A full http or https address of printable ASCII, at most 500 characters long.
    """
    found: dict[str, str] = {}
    for meta in _META.findall(data[:_LOOKED_AT_BYTES].decode("utf-8", "replace")):
        given = {name.lower(): double or single for name, double, single in _ATTRIBUTE.findall(meta)}
        found.setdefault(given.get("property", given.get("name", "")).lower(), given.get("content", ""))
    named = next((found[name] for name in _PICTURES if found.get(name)), None)
    return _usable(html.unescape(named).strip(), url) if named else None


def _usable(named: str, url: str) -> str | None:
    try:
        address = urljoin(url, named)
        is_web = urlsplit(address).scheme in ("http", "https")
    except ValueError:
        return None
    is_plain = address.isascii() and address.isprintable() and " " not in address
    return address if is_web and is_plain and len(address) <= _LONGEST else None
