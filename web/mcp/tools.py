"""The service as tools for agents, over the Model Context Protocol: Gradio's MCP server with functions of our own.

It serves one page-less Gradio app whose two functions take text alone: a picture comes as an address, which our own
fetcher gets, or within a `data:` address. So nothing here opens a path or fetches on Gradio's behalf, and a call is
answered in place (`queue=False`) instead of by a second request to whatever host the first one named.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import gradio as gr
from fastapi import FastAPI
from gradio.events import api
from starlette.routing import Route
from starlette.types import Lifespan

from catdog.errors import CatdogError
from feedback.row import Source
from web.api.body import decoded
from web.api.schemas import PredictionAnswer
from web.errors import ErrorResponses
from web.i18n import ENGLISH
from web.mcp.endpoint import McpEndpoint
from web.page.events import PageParts, correct_by_id
from web.service.service import Answer

PATH = "/gradio_api/mcp"
_DATA = "data:"


class McpTools:
    """The tools. Their docstrings are what an agent reads."""

    def __init__(self, parts: PageParts) -> None:
        self._parts = parts
        self._service = parts.service

    async def classify(self, image: str, request: gr.Request) -> str:  # noqa: D417 - Gradio fills in the request
        """Say what a photo shows, with the probability of each label the model knows, as JSON.

        `verdict` is the answer: a label, `neither` (nothing the model knows) or `unsure`. Keep `request_id` for
        wrong_label.

        Args:
            image: Public address of a picture, with https://; or one up to 180 kB as data:image/jpeg;base64,...
        """
        try:
            answer = await self._answer(image, self._parts.client_of(request))
        except CatdogError as error:
            self._parts.metrics.failed(error.code)
            raise gr.Error(str(error), print_exception=False) from None
        return PredictionAnswer.of(answer).model_dump_json()

    async def wrong_label(  # noqa: D417 - Gradio fills in the request
        self, request_id: str, label: str, request: gr.Request
    ) -> str:
        """Tell what a photo really shows, only when a person has said so: it is kept to train the next model.

        The `receipt` in the returned JSON takes it back (DELETE /feedback).

        Args:
            request_id: From the answer of classify, at most 30 minutes ago.
            label: What the photo shows: one of the model's labels, `neither` or `unsure`.
        """
        return json.dumps(await correct_by_id(self._parts, request_id, label, request))

    async def _answer(self, image: str, client: str) -> Answer:
        if not image.startswith(_DATA):
            return await self._service.classify_url(image, client=client)
        return await self._service.classify(partial(decoded, image), Source.API, client=client)


def add_mcp_tools(app: FastAPI, parts: PageParts, errors: ErrorResponses) -> list[Route]:
    """Let an app serve agents too; its lifespan must not have begun.

    Args:
        app: The app.
        parts: What the tools need.
        errors: Words refusals.

    Returns:
        The routes that this added.
    """
    from gradio.mcp import GradioMCPServer  # noqa: PLC0415 - it is there only with Gradio's extra

    tools = McpTools(parts)
    with gr.Blocks(title=ENGLISH.title(parts.service.live.model.labels), analytics_enabled=False) as blocks:
        for tool in (tools.classify, tools.wrong_label):
            api(tool, api_name=tool.__name__, queue=False)
    server = GradioMCPServer(blocks)
    server.root_path = ""
    endpoint = McpEndpoint(server.handle_streamable_http, errors)
    routes = [Route(path, endpoint, methods=["POST"]) for path in (PATH, f"{PATH}/")]
    app.router.routes.extend(routes)
    app.router.lifespan_context = _within(server.lifespan, app.router.lifespan_context)
    return routes


def _within(outer: Lifespan[Any], inner: Lifespan[Any]) -> Lifespan[Any]:
    @asynccontextmanager
    async def both(app: Any) -> AsyncIterator[None]:
        async with outer(app), inner(app):
            yield

    return both
