"""What visitors read about the model, from its own metadata."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from catdog.model.model import Model
from tests.toy import toy_model
from web.i18n import ENGLISH
from web.i18n.de import GERMAN
from web.page.html import about_html


def about(folder: Path, scores: Mapping[str, Any], texts: Any = ENGLISH, *, neither_above: float | None = None) -> str:
    model = Model.load(toy_model(folder, ("cat", "dog"), neither_above=neither_above))
    model.metadata = model.metadata.model_copy(update={"metrics": {"test": scores}})
    return about_html(model.metadata, model.revision, texts)


def test_what_was_counted_is_told_as_it_is(tmp_path: Path) -> None:
    scores = {"n": 8, "accuracy": 1.0, "intervals": {"accuracy": [0.676, 1.0]}}
    assert "of 8 test photos" in about(tmp_path / "all", scores)
    assert "right on 100.0% of 8 test photos it had never seen (95% interval: 67.6% to 100.0%)." in about(
        tmp_path / "share", scores
    )


def test_large_numbers_are_written_as_the_language_does(tmp_path: Path) -> None:
    scores = {"n": 2129, "accuracy": 0.989}
    assert "2,129 test photos" in about(tmp_path / "en", scores)
    assert "Bei 2.129 Testfotos" in about(tmp_path / "de", scores, GERMAN)


@pytest.mark.parametrize(
    ("neither_above", "words"),
    [
        (None, "Anything else may get one of these labels too."),
        (0.0, "most, but not all, other pictures and answers “Neither cat nor dog”"),
    ],
)
def test_what_becomes_of_other_pictures_depends_on_the_models_rule(
    tmp_path: Path, neither_above: float | None, words: str
) -> None:
    assert words in about(tmp_path / "model", {}, neither_above=neither_above)
