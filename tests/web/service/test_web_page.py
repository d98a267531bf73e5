"""An address that leads to a web page: the person is told, and which picture the page names."""

import httpx
import pytest

from web.service.fetch import not_a_picture, suggested_picture

PAGE = "https://pets.example/a/page.html"


@pytest.mark.parametrize(
    ("meta", "picture"),
    [
        ('<meta property="og:image" content="https://cdn.example/a.jpg">', "https://cdn.example/a.jpg"),
        ("<META content='/b.jpg?x=1&amp;y=2' property='og:image' />", "https://pets.example/b.jpg?x=1&y=2"),
        ('<meta name="og:image" content="c.jpg">', "https://pets.example/a/c.jpg"),
        ('<meta name="twitter:image" content="//cdn.example/d.jpg">', "https://cdn.example/d.jpg"),
        (
            '<meta name="twitter:image" content="/x.jpg"><meta property="og:image" content="/y.jpg">',
            "https://pets.example/y.jpg",
        ),
        ('<meta property="og:image" content="javascript:alert(1)">', None),
        ('<meta property="og:image" content="file:///etc/passwd">', None),
        ('<meta property="og:image" content="data:image/png;base64,AAAA">', None),
        ('<meta property="og:image" content="http://[">', None),
        ('<meta property="og:image" content="a b&#10;c.jpg">', None),
        (f'<meta property="og:image" content="{"a" * 600}">', None),
        ('<meta property="og:image" content="">', None),
        ("<title>No picture</title>", None),
    ],
)
def test_the_picture_that_a_page_names_is_suggested_if_it_is_a_web_address(meta: str, picture: str | None) -> None:
    page = f"<!doctype html><html><head>{meta}</head></html>".encode()
    assert suggested_picture(page, PAGE) == picture
    assert not_a_picture(page, PAGE).startswith("This address is a web page, not a picture. ")


def test_a_page_that_is_built_to_take_long_takes_none() -> None:
    page = b"<html>" + b"<meta " * 1_000_000 + b"<meta property='" * 500_000
    assert suggested_picture(page, PAGE) is None


def test_what_is_no_page_is_called_unreadable() -> None:
    assert "can't be read as a picture" in not_a_picture(b"%PDF-1.7", PAGE)


def test_the_suggestion_comes_with_the_error_and_is_not_fetched(client: httpx.Client, web_site: str) -> None:
    answer = client.post("/predict", params={"url": f"{web_site}/page.html"})
    assert (answer.status_code, answer.json()["error"]) == (422, "url_not_image")
    assert f"{web_site}/named-by-the-page.jpg" in answer.json()["detail"]
