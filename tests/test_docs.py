"""Pages of the documentation that are generated from the code."""

from collections.abc import Callable

import pytest

from scripts.docs import settings_page, tree_page
from tests.conftest import ROOT


@pytest.mark.parametrize(("name", "page"), [("settings.md", settings_page), ("tree.md", tree_page)])
def test_generated_pages_are_those_of_this_code(name: str, page: Callable[[], str]) -> None:
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == page(), "run `make tree`"
