"""The examples show what the page does: a cat and a dog by photos, and what is neither."""

from catdog.images.decode import decode_image
from catdog.model.model import Model
from catdog.settings import EMBEDDED_MODEL
from web.page.examples import Examples


def test_the_embedded_model_names_the_cat_and_the_dog_and_turns_the_others_away() -> None:
    model, examples = Model.load(EMBEDDED_MODEL), Examples()
    verdicts = {}
    for name in examples.names(("cat", "dog")):
        picture = examples.picture(name)
        assert picture
        verdicts[name] = model.predict(decode_image(picture)).verdict
    assert (verdicts.pop("cat"), verdicts.pop("dog")) == ("cat", "dog")
    assert set(verdicts) >= {"cup"}
    assert set(verdicts.values()) <= {"neither", "unsure"}


def test_examples_of_a_label_are_shown_only_where_the_model_has_it() -> None:
    assert {"cat", "dog", "cup"} & set(Examples().names(("hamster", "cat"))) == {"cat", "cup"}
