"""How many event streams may be open: each holds a connection, and there must be some left for everybody's requests.

The limits on connections see only the address that a connection comes from; behind a proxy, that is the proxy's.
"""

from collections.abc import Callable

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from web.errors import ErrorResponses
from web.gradio_guard import CALL
from web.middleware.clients import ClientQuota

_MOST, _MOST_OF_A_CLIENT = 1500, 300
_STREAMS = (CALL, "/gradio_api/heartbeat/", "/gradio_api/queue/data", "/gradio_api/upload_progress")
_TOO_MANY = "Too many pages are open. Close some, or try again in a few seconds."


class StreamLimit:
    """ASGI app around the mounted Gradio app: responds with 503 to a stream too many."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        errors: ErrorResponses,
        client_of: Callable[[Request], str],
        most: int = _MOST,
        most_of_a_client: int = _MOST_OF_A_CLIENT,
    ) -> None:
        """Wrap an app.

        Args:
            app: Gradio's app.
            errors: Words the refusals.
            client_of: The address of the client behind a request.
            most: How many streams may be open, of all clients together.
            most_of_a_client: How many of them may be one client's; an office may share an address.
        """
        self._app = app
        self._errors = errors
        self._client_of = client_of
        self._open = ClientQuota(most=most, most_of_a_client=most_of_a_client)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on unless it is a stream and there is no room for it."""
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith(_STREAMS):
            await self._app(scope, receive, send)
            return
        client = self._client_of(Request(scope))
        if not self._open.take(client):
            await self._errors.response(scope, "busy", _TOO_MANY)(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            self._open.give_back(client)
