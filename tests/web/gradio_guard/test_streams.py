"""One client cannot hold all event streams."""

import asyncio
from collections import Counter

import httpx
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from web.errors import ErrorResponses
from web.gradio_guard.streams import StreamLimit
from web.metrics.metrics import Metrics
from web.route_table import RouteTable


def test_a_client_with_too_many_streams_is_refused_and_others_are_not() -> None:
    async def scenario() -> None:
        over = asyncio.Event()

        async def stream(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"] != "/":
                await over.wait()
            await PlainTextResponse("done")(scope, receive, send)

        app = StreamLimit(
            stream,
            errors=ErrorResponses(Metrics(), RouteTable()),
            client_of=lambda request: request.headers["from"],
            most=6,
            most_of_a_client=3,
        )

        def asked(client: str, path: str, count: int) -> list[asyncio.Task[httpx.Response]]:
            inside = httpx.ASGITransport(app)
            http = httpx.AsyncClient(transport=inside, base_url="http://app", headers={"from": client})
            return [asyncio.create_task(http.get(path)) for _ in range(count)]

        first = asked("ann", "/gradio_api/heartbeat/a", 5)
        while sum(each.done() for each in first) < 2:
            await asyncio.wait([each for each in first if not each.done()], return_when=asyncio.FIRST_COMPLETED)
        second = asked("bob", "/gradio_api/queue/data", 3)
        (page,) = await asyncio.gather(*asked("ann", "/", 1))
        assert page.status_code == 200
        over.set()
        answers = await asyncio.gather(*first, *second)
        assert Counter(each.status_code for each in answers) == {200: 6, 503: 2}
        again = await asyncio.gather(*asked("ann", "/gradio_api/call/x", 3))
        assert [each.status_code for each in again] == [200] * 3

    asyncio.run(scenario())
