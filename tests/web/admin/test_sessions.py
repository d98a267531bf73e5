"""The maintainer's token, as programs send it."""

import pytest

from web.admin.sessions import AdminToken

RIGHT = "a token that nobody guesses"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_whoever_sends_the_token_is_a_maintainer(scheme: str) -> None:
    assert AdminToken(RIGHT).is_in(f"{scheme} {RIGHT}", "1.2.3.4")


@pytest.mark.parametrize(
    "sent", ["", "Bearer", "Bearer ", f"Basic {RIGHT}", RIGHT, f"Bearer {RIGHT[:-1]}", "Bearer \udc80"]
)
def test_nobody_else_is(sent: str) -> None:
    assert not AdminToken(RIGHT).is_in(sent, "1.2.3.4")


def test_where_no_token_is_set_nobody_is_a_maintainer() -> None:
    assert not AdminToken("").is_in("Bearer ", "1.2.3.4")


def test_a_client_that_guesses_is_not_listened_to_any_more_and_others_are() -> None:
    token = AdminToken(RIGHT)
    for n in range(20):
        assert not token.is_in(f"Bearer {n}", "1.2.3.4")
    assert not token.is_in(f"Bearer {RIGHT}", "1.2.3.4")
    assert token.is_in(f"Bearer {RIGHT}", "5.6.7.8")
