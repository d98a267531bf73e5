"""Mounts the page on the app, with everything closed that Gradio would expose."""

from collections.abc import Mapping, Sequence

import gradio as gr
from fastapi import FastAPI
from starlette.routing import BaseRoute, Mount

from web.errors import ErrorResponses
from web.gradio_guard.allowlist import GradioAllowlist
from web.gradio_guard.assets import AssetCache
from web.gradio_guard.memory import UploadShares, bound_memory
from web.gradio_guard.streams import StreamLimit
from web.i18n import Texts
from web.page.events import PageParts
from web.page.head import PageHead
from web.page.html import page_words
from web.page.layout import STYLE, build_page, create_theme


def mount_page(
    app: FastAPI, parts: PageParts, *, routes: Sequence[BaseRoute], errors: ErrorResponses, max_bytes: int
) -> None:
    """Mount the page at the root. Routes that are added to the app afterwards are not reached.

    Args:
        app: The app.
        parts: What the page needs.
        routes: The other routes.
        errors: Words refusals.
        max_bytes: The largest file that the browser may send.
    """
    if parts.mcp:
        from web.mcp.tools import add_mcp_tools  # noqa: PLC0415 - most installations do without

        routes = [*routes, *add_mcp_tools(app, parts, errors)]
    demo = build_page(parts)
    gr.mount_gradio_app(
        app,
        demo,
        path="/",
        show_error=False,
        max_file_size=max_bytes,
        footer_links=["api"],
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,  # with it, Gradio would fetch addresses and call itself by whatever host a request names
        theme=create_theme(),
        css_paths=[STYLE],
    )
    demo.has_launched = True  # else Gradio lets events name any file on this disk
    mount = app.router.routes[-1]
    assert isinstance(mount, Mount)
    assert isinstance(mount.app, FastAPI)
    errors.install_disk_full(mount.app)

    def words(texts: Texts) -> Mapping[str, str]:
        model = parts.service.live.model
        return page_words(model, parts.retention, parts.examples.names(model.labels), texts)

    page = PageHead(mount.app, words=words)
    allowlist = GradioAllowlist(
        page,
        routes=routes,
        uploads=parts.uploads,
        errors=errors,
        events={number: len(event.inputs) for number, event in demo.fns.items()},
        functions={
            name.removeprefix("/"): [each["parameter_name"] for each in function["parameters"]]
            for name, function in demo.get_api_info()["named_endpoints"].items()
        },
        unfetched=bound_memory(demo),
        shares=UploadShares(parts.uploads.most_bytes // 2),
        client_of=parts.client_of,
    )
    mount.app = AssetCache(StreamLimit(allowlist, errors=errors, client_of=parts.client_of))
