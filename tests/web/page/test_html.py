from dataclasses import replace

import pytest

from catdog.model.metadata import NEITHER, UNSURE, Verdict
from catdog.model.model import Prediction
from web.i18n import ENGLISH, format_percent
from web.page.html import answer_html, message_html

PETS = Prediction(
    labels=("cat", "dog"),
    probabilities=(0.25, 0.75),
    verdict=Verdict("dog"),
    positive_label="dog",
    neither_score=None,
    model_id="model",
    model_revision="local-0",
)


@pytest.mark.parametrize(
    ("probability", "text"),
    [(1.0, "> 99.9%"), (0.9991, "> 99.9%"), (0.999, "99.9%"), (0.7546, "75.5%"), (0.001, "0.1%"), (0, "< 0.1%")],
)
def test_percentages_never_claim_certainty(probability: float, text: str) -> None:
    assert format_percent(probability) == text


def test_the_largest_bar_comes_first() -> None:
    html = answer_html(PETS, ENGLISH)
    assert html.index("75.0%") < html.index("Dog</span>") < html.index("Cat</span>")
    assert '<p class="verdict">Dog</p><p class="sureness">75.0% sure</p>' in html


@pytest.mark.parametrize(
    ("labels", "verdict", "words"),
    [
        (("cat", "dog"), NEITHER, "Neither cat nor dog"),
        (("cat", "dog"), UNSURE, "Not sure"),
        (("cat", "dog", "fox"), NEITHER, "None of these"),
    ],
)
def test_neither_and_unsure_are_said_in_plain_words(labels: tuple[str, ...], verdict: str, words: str) -> None:
    probabilities = (0.5, 0.3, 0.2)[: len(labels)]
    html = answer_html(replace(PETS, labels=labels, probabilities=probabilities, verdict=Verdict(verdict)), ENGLISH)
    assert f'<p class="verdict">{words}</p>' in html
    assert f'data-verdict="{verdict}"' in html


def test_labels_and_sentences_cannot_smuggle_html_in() -> None:
    wild = replace(PETS, labels=("<b>cat", 'do"g'), verdict=Verdict('do"g'))
    assert "<b>" not in answer_html(wild, ENGLISH)
    assert 'do"g' not in answer_html(wild, ENGLISH)
    assert "<i>" not in message_html("<i>", kind="problem")


@pytest.mark.parametrize(
    ("labels", "title"), [(("cat", "dog"), "Cat or dog?"), (("cat", "dog", "fox"), "Cat, dog or fox?")]
)
def test_the_title_is_made_of_the_labels(labels: tuple[str, ...], title: str) -> None:
    assert ENGLISH.title(labels) == title


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (("cat", "dog"), ["Cat", "Neither cat nor dog", "Both, or can't tell"]),
        (("cat", "dog", "fox"), ["Cat", "None of these", "Several, or can't tell"]),
    ],
)
def test_choices_are_worded_for_any_number_of_labels(labels: tuple[str, ...], words: list[str]) -> None:
    assert [ENGLISH.choice(answer, labels) for answer in ("cat", NEITHER, UNSURE)] == words
