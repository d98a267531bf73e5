"""The page's languages: a file each, chosen once for each visitor."""

from collections.abc import Mapping

from web.i18n.de import GERMAN
from web.i18n.en import ENGLISH
from web.i18n.es import SPANISH
from web.i18n.fr import FRENCH
from web.i18n.ja import JAPANESE
from web.i18n.pt import PORTUGUESE
from web.i18n.texts import Texts, format_percent, format_share

__all__ = ["ENGLISH", "LANGUAGES", "LANGUAGE_COOKIE", "Texts", "choose_language", "format_percent", "format_share"]

LANGUAGES: tuple[Texts, ...] = (ENGLISH, GERMAN, FRENCH, SPANISH, PORTUGUESE, JAPANESE)
LANGUAGE_COOKIE = "catdog_language"
"""Remembers what a visitor has chosen with the page's own switch."""
_BY_CODE = {texts.language: texts for texts in LANGUAGES}


def choose_language(accept_language: str, cookies: Mapping[str, str] | None = None) -> Texts:
    """The visitor's language: their own choice, else what their browser likes best of what there is, else English.

    Args:
        accept_language: The header of that name (RFC 9110, section 12.5.4).
        cookies: The request's cookies; see `LANGUAGE_COOKIE`.
    """
    chosen = (cookies or {}).get(LANGUAGE_COOKIE, "")
    wanted = (chosen, *_by_preference(accept_language))
    return next((_BY_CODE[code] for code in wanted if code in _BY_CODE), ENGLISH)


def _by_preference(accept_language: str) -> list[str]:
    """The language codes of a header, best first; those that a browser refuses (`q=0`) are left out."""
    ranked = []
    for each in accept_language.split(","):
        tag, _, quality = each.partition(";")
        ranked.append((_quality(quality), tag.strip().partition("-")[0].lower()))
    return [code for quality, code in sorted(ranked, key=lambda pair: -pair[0]) if quality > 0]


def _quality(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
