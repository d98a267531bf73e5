"""The page's words that never change, in each language: Gradio's page picks those of the visitor's browser."""

import gradio as gr
from gradio.i18n import I18nData

from web.i18n.texts import LANGUAGES

_KEYS = ("photo", "drop", "url", "url_placeholder", "right", "wrong", "why", "take_back", "audit", "waiting")


def create_i18n() -> gr.I18n:
    """All languages; to be mounted with the page."""
    return gr.I18n(**{each.language: {_key(name): getattr(each, name) for name in _KEYS} for each in LANGUAGES})


def translated(name: str) -> I18nData:
    """The place of a sentence of `Texts`."""
    return I18nData(_key(name))


def _key(name: str) -> str:
    """Apart from the keys that Gradio uses itself."""
    return f"page_{name}"
