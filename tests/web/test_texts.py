"""Every language says the same, and a browser gets the one that it likes best."""

import re
from dataclasses import asdict

import pytest

from catdog.metadata import NEITHER
from web.i18n import create_i18n
from web.page_head import head_html
from web.texts import ENGLISH, GERMAN, LANGUAGES, Texts, choose_language


@pytest.mark.parametrize("texts", LANGUAGES, ids=lambda texts: texts.language)
def test_every_language_has_the_places_of_the_english_text(texts: Texts) -> None:
    said = asdict(texts)
    for name, english in asdict(ENGLISH).items():
        if isinstance(english, str):
            assert said[name], name
            assert sorted(re.findall(r"{\w*}", said[name])) == sorted(re.findall(r"{\w*}", english)), name
    assert [name for name, _ in texts.example_names] == [name for name, _ in ENGLISH.example_names]


def test_german_is_german() -> None:
    assert GERMAN.title(("cat", "dog")) == "Katze oder Hund?"
    assert GERMAN.verdict(NEITHER, ("cat", "dog")) == "Weder Katze noch Hund"
    assert GERMAN.sureness("cat", "cat", 0.877) == "zu 87,7 % sicher"


@pytest.mark.parametrize(
    ("header", "language"),
    [("de-AT,de;q=0.9,en;q=0.8", "de"), ("fr,de;q=0.5", "de"), ("en-GB", "en"), ("fr", "en"), ("", "en"), (";,", "en")],
)
def test_the_browsers_first_language_that_there_is_wins(header: str, language: str) -> None:
    assert choose_language(header).language == language


def test_gradio_gets_the_words_that_never_change() -> None:
    translations = create_i18n().translations_dict
    assert translations["en"]["page_wrong"] == ENGLISH.wrong
    assert translations["de"]["page_wrong"] == GERMAN.wrong


def test_the_head_escapes_and_names_whole_addresses() -> None:
    head = head_html(('"cat', "dog"), "https://example.com")
    assert 'content="https://example.com/page/preview.png"' in head
    assert '"&quot;cat or dog?"' in head
