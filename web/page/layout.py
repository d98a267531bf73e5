"""The page's Gradio components. Its scripts, in `static/`, bring photos to the service and answers to the page.

Where a component shows words, its value here is only their name, `%%name%%`: `web.page.head` puts the words in for each
visitor, in one language for the whole page. Gradio never decodes a picture.
"""

import copy
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import api

from web.page.events import PageParts, ProgramEvents
from web.page.html import message_html

STYLE = Path(__file__).with_name("static") / "page.css"

_QUEUED_EVENTS = 64
_EVENTS_AT_ONCE = 16
_QUEUE_POLL_S, _PROGRESS_POLL_S = 0.02, 0.5
"""Gradio polls its queue a thousand times a second, and interrupts other threads to do so; and a hundred times for
reports of progress, which no event of ours makes."""
_EXAMPLE = {"path": "%%example%%", "url": "%%example%%", "meta": {"_type": "gradio.FileData"}}
_CALLS: Mapping[str, tuple[Any, ...]] = {
    "classify": (_EXAMPLE,),
    "wrong_label": ("the request_id of /classify", "%%first_label%%"),
}
_FONT = ("ui-rounded", "SF Pro Rounded", "Segoe UI", "system-ui", "sans-serif")
_MONO = ("ui-monospace", "monospace")


def build_page(parts: PageParts) -> gr.Blocks:
    """Lay the page out, with the functions that programs may call; to be mounted by `mount_page`."""
    events = ProgramEvents(parts)
    blocks = gr.Blocks(title="%%title%%", analytics_enabled=False)
    with blocks:
        gr.HTML("%%header%%", elem_id="header")
        for warning in parts.warnings:
            gr.HTML(message_html(warning, kind="notice"))
        with gr.Row(elem_id="stage"):
            with gr.Column(scale=6, min_width=280):
                _inputs(asks_consent=parts.service.audits)
            with gr.Column(scale=5, min_width=280):
                gr.HTML("%%answer%%", elem_id="answer")
                gr.HTML("<div class='place'></div>", elem_id="ask")
                gr.HTML("%%consent%%", elem_id="consent")
                gr.HTML("<div class='place'></div>", elem_id="mine")
        gr.HTML("<div class='place'></div>", elem_id="several")
        gr.HTML("%%about%%", elem_id="about")
        gr.HTML("%%foot%%", elem_id="foot")
        api(events.classify, api_name="classify")
        api(events.wrong_label, api_name="wrong_label")
    _show_calls(blocks)
    blocks.queue(api_open=False, max_size=_QUEUED_EVENTS, default_concurrency_limit=_EVENTS_AT_ONCE)
    queue = blocks._queue  # noqa: SLF001 - Gradio has no option for it
    queue.sleep_when_free, queue.progress_update_sleep_when_free = _QUEUE_POLL_S, _PROGRESS_POLL_S
    return blocks


def _show_calls(blocks: gr.Blocks) -> None:
    """Put values into the calls that "Use via API" shows, with which they work as they stand."""
    for function in blocks.fns.values():
        for component, value in zip(function.inputs, _CALLS[str(function.api_name)], strict=True):
            component.example_payload = partial(copy.deepcopy, value)  # type: ignore[method-assign, union-attr]


def create_theme() -> gr.themes.Base:
    """Warm and quiet, in light and dark; page.css does the rest. Fonts are those of the visitor's own system."""
    theme = gr.themes.Base(
        primary_hue="orange",
        neutral_hue="stone",
        radius_size="lg",
        text_size="lg",
        font=_FONT,
        font_mono=_MONO,
    )
    return theme.set(body_background_fill="*neutral_50", body_background_fill_dark="*neutral_950")


def _inputs(*, asks_consent: bool) -> None:
    """Where a picture comes in: drop zone, camera and clipboard, address, examples."""
    gr.HTML("%%frame%%", elem_id="frame")
    gr.HTML("%%ways%%", elem_id="ways")
    gr.Textbox(
        label="%%url%%",
        show_label=False,
        placeholder="%%url_placeholder%%",
        max_lines=1,
        html_attributes=gr.InputHTMLAttributes(autocapitalize="off", autocomplete="off", enterkeyhint="go"),
        elem_id="url",
    )
    gr.Checkbox(label="%%audit%%", visible=asks_consent, container=False, elem_id="audit")
    gr.HTML("%%examples%%", elem_id="examples")
