"""Every language says the same, in the app and in the static page, and visitors get one that they read."""

import json
import re
from dataclasses import asdict

import pytest

from catdog.errors import HubError, UnreadableImageError
from catdog.model.metadata import NEITHER
from tests.conftest import ROOT
from web.i18n import ENGLISH, LANGUAGE_COOKIE, LANGUAGES, Texts, choose_language
from web.i18n.de import GERMAN
from web.page.html import Retention, consent

PLACES = re.compile(r"{\w*}")


@pytest.mark.parametrize("texts", LANGUAGES, ids=lambda texts: texts.language)
def test_every_language_has_every_sentence_with_the_places_of_the_english_one(texts: Texts) -> None:
    said = asdict(texts)
    for name, english in asdict(ENGLISH).items():
        if isinstance(english, str):
            assert said[name], name
            assert sorted(PLACES.findall(said[name])) == sorted(PLACES.findall(english)), name
            if texts is not ENGLISH and len(english) > 25:
                assert said[name] != english, f"{name} is not translated"
    assert [name for name, _ in texts.example_names] == [name for name, _ in ENGLISH.example_names]
    if texts is not ENGLISH:
        assert [code for code, _ in texts.problem_texts] == [code for code, _ in GERMAN.problem_texts]
        assert [label for label, _ in texts.label_names] == ["cat", "dog"]


@pytest.mark.parametrize("texts", LANGUAGES, ids=lambda texts: texts.language)
def test_the_static_page_has_every_sentence_in_every_language(texts: Texts) -> None:
    english, own = (
        json.loads((ROOT / "browser" / "i18n" / f"{each}.json").read_text()) for each in ("en", texts.language)
    )
    assert own.keys() == english.keys()
    for name, text in own.items():
        assert sorted(PLACES.findall(text)) == sorted(PLACES.findall(english[name])), name


@pytest.mark.parametrize(
    ("language", "title", "neither", "sureness"),
    [
        ("en", "Cat or dog?", "Neither cat nor dog", "87.7% sure"),
        ("de", "Katze oder Hund?", "Weder Katze noch Hund", "zu 87,7\N{NO-BREAK SPACE}% sicher"),
        (
            "fr",
            "Chat ou chien\N{NARROW NO-BREAK SPACE}?",
            "Ni chat ni chien",
            "sûr à 87,7\N{NARROW NO-BREAK SPACE}%",
        ),
        ("es", "¿Gato o perro?", "Ni gato ni perro", "87,7\N{NO-BREAK SPACE}% de seguridad"),
        ("pt", "Gato ou cachorro?", "Nem gato nem cachorro", "87,7% de certeza"),
        ("ja", "猫、それとも犬\N{FULLWIDTH QUESTION MARK}", "猫でも犬でもない", "確信度 87.7%"),
    ],
)
def test_each_language_writes_as_its_readers_do(language: str, title: str, neither: str, sureness: str) -> None:
    texts = choose_language(language)
    assert texts.title(("cat", "dog")) == title
    assert texts.verdict(NEITHER, ("cat", "dog")) == neither
    assert texts.sureness("cat", "cat", 0.877) == sureness


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("fr,de;q=0.5", "fr"),
        ("fr,de", "fr"),
        ("ar,de", "de"),
        ("en;q=0.2,ja;q=0.9", "ja"),
        ("de;q=0,pt-BR", "pt"),
        ("en-GB", "en"),
        ("ar", "en"),
        ("", "en"),
        (";,", "en"),
        ("de;q=x", "en"),
    ],
)
def test_the_browsers_favourite_language_that_there_is_wins(header: str, language: str) -> None:
    assert choose_language(header).language == language


@pytest.mark.parametrize(("chosen", "language"), [("es", "es"), ("xx", "de"), ("", "de")])
def test_the_visitors_own_choice_comes_before_the_browsers(chosen: str, language: str) -> None:
    assert choose_language("de", {LANGUAGE_COOKIE: chosen}).language == language


def test_visitors_learn_what_is_kept_and_for_how_long() -> None:
    here, hub = consent(Retention(), ENGLISH), consent(Retention(hub_days=7), ENGLISH)
    assert "We don't store your photo" in here
    assert "for up to 30 minutes" in here
    assert "on this server, until" in here
    assert "under “My answers”" in here
    assert "for 7 more days on this server" in hub
    assert "7 weitere Tage" in consent(Retention(hub_days=7), GERMAN)
    assert "random" not in here
    assert "random" in consent(Retention(audits=True), ENGLISH)


def test_failures_are_described_in_the_visitors_language_where_there_is_a_sentence() -> None:
    error = UnreadableImageError("This image can't be read.")
    assert ENGLISH.problem(error) == "This image can't be read."
    assert "nicht lesbar" in GERMAN.problem(error)
    assert GERMAN.for_scripts["problem_unreadable_image"] == GERMAN.problem(error)
    assert GERMAN.problem(HubError("No Hub.")) == "No Hub."


@pytest.mark.parametrize("label", ["T-Shirt", "BMW", "eBike", "Jack Russell"])
def test_labels_keep_the_letters_that_somebody_gave_them(label: str) -> None:
    texts = ENGLISH
    assert texts.shown(label) == texts.verdict(label, [label, "cat"]) == label
    assert label in texts.title([label, "cat"])
    assert texts.shown("golden retriever") == "Golden retriever"
