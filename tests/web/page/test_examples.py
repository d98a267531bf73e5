"""Which pictures there are to try."""

from web.page.examples import Examples


def test_an_example_of_a_label_is_there_if_the_model_has_the_label() -> None:
    examples = Examples()
    assert {"drawn-cat", "drawn-dog", "cup"} <= set(examples.names(("cat", "dog")))
    assert {"drawn-cat", "drawn-dog", "cup"} & set(examples.names(("hamster", "cat"))) == {"drawn-cat", "cup"}
