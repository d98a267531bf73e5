"""Every language says the same, and a browser gets the one that it likes best."""

import re
from dataclasses import asdict

import pytest

from catdog.errors import HubError, UnreadableImageError
from catdog.model.metadata import NEITHER
from web.i18n.gradio import create_i18n
from web.i18n.texts import ENGLISH, GERMAN, LANGUAGES, Texts, choose_language
from web.page.head import head_html
from web.page.retention import Retention, consent


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


def test_visitors_learn_what_is_kept_and_for_how_long() -> None:
    here, hub = consent(Retention(), ENGLISH), consent(Retention(hub_days=7), ENGLISH)
    assert "deleted after 10 minutes" in here
    assert "for up to 30 minutes" in here
    assert "on this server, until" in here
    assert "for 7 more days on this server" in hub
    assert "7 Tage" in consent(Retention(hub_days=7), GERMAN)
    assert "random" not in here
    assert "random" in consent(Retention(audits=True), ENGLISH)


def test_refusals_are_said_in_the_visitors_language_where_there_is_a_sentence() -> None:
    error = UnreadableImageError("This is no image.")
    assert ENGLISH.problem(error) == "This is no image."
    assert "kein Bild" in GERMAN.problem(error)
    assert GERMAN.for_scripts["problem_unreadable_image"] == GERMAN.problem(error)
    assert GERMAN.problem(HubError("No Hub.")) == "No Hub."


def test_gradio_gets_the_words_that_never_change() -> None:
    translations = create_i18n().translations_dict
    assert translations["en"]["page_wrong"] == ENGLISH.wrong
    assert translations["de"]["page_wrong"] == GERMAN.wrong


def test_the_head_escapes_and_names_whole_addresses() -> None:
    head = head_html(('"cat', "dog"), "https://example.com")
    assert 'content="https://example.com/page/preview.png"' in head
    assert '"&quot;cat or dog?"' in head
