"""Logging in to the review page, for tests."""

import re

import httpx

from web.admin.routes import COOKIE

TOKEN = "a token that nobody guesses"


def log_in(http: httpx.Client, token: str = TOKEN, name: str = "Ann") -> httpx.Response:
    """Log in as a browser on https does; a secure cookie is then carried by hand."""
    answer = http.post("/admin/login", data={"token": token, "name": name})
    if COOKIE in answer.headers.get("Set-Cookie", ""):
        http.headers["Cookie"] = answer.headers["Set-Cookie"].partition(";")[0]
    return answer


def csrf(http: httpx.Client) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', http.get("/admin").text)
    assert found
    return found[1]
