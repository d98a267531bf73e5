"""The page: its Gradio components, and which event changes which of them.

Gradio never decodes a picture: events that take one get the description of the uploaded file, and our decoder reads it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import Dependency, api

from web.i18n.gradio import translated
from web.i18n.texts import Texts
from web.page.events import PageEvents, PageParts, page_texts
from web.page.html import message_html

STYLE = Path(__file__).with_name("static") / "page.css"

_QUEUED_EVENTS = 64
_EVENTS_AT_ONCE = 16
_QUEUE_LOOKED_AT_S, _PROGRESS_LOOKED_AT_S = 0.02, 0.5
"""Gradio looks a thousand times a second whether a program has queued an event, and interrupts other threads to do so;
a hundred times whether one reports progress, which none of ours does."""
_SAVED_LOOKED_AT_S = 2.0
_DIRECT: Mapping[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
"""The page's own events skip Gradio's queue, whose stream costs time: `Service` has a bounded queue of its own."""
_SHOW = "() => ({__type__: 'update', visible: true})"  # in the browser: no need to ask the server for this


@dataclass(frozen=True, slots=True, kw_only=True)
class _Widgets:
    """The components that events read or change; those from `picture` to `memory` are what a new answer changes."""

    picture: gr.Image
    answer: gr.HTML
    heat: gr.HTML
    ask: gr.Column
    question: gr.HTML
    why: gr.Button
    right: gr.Button
    wrong: gr.Button
    choices: gr.Radio
    thanks: gr.HTML
    take_back: gr.Button
    memory: gr.JSON
    url: gr.Textbox
    audit: gr.Checkbox


def build_page(parts: PageParts) -> gr.Blocks:
    """Lay the page out and connect its events; to be mounted by `mount_page`."""
    texts, service = parts.texts, parts.service
    events = PageEvents(parts)
    labels = service.live.model.labels
    blocks = gr.Blocks(title=texts.title(labels), analytics_enabled=False)
    words = page_texts(parts, texts)
    header_text, ways_text, examples_text, _, consent_text, about_text, foot_text = words
    with blocks:
        header = gr.HTML(header_text, elem_id="header")
        for warning in parts.warnings:
            gr.HTML(message_html(warning, kind="notice"))
        with gr.Row(elem_id="stage"):
            with gr.Column(scale=6, min_width=280):
                picture, heat, ways, url = _inputs(ways_text)
                audit = gr.Checkbox(label=translated("audit"), visible=service.audits, container=False, elem_id="audit")
                examples = gr.HTML(examples_text, elem_id="examples")
            with gr.Column(scale=5, min_width=280):
                answer, kept = _answer(texts, consent_text)
        widgets = _Widgets(picture=picture, heat=heat, url=url, audit=audit, **answer)
        gr.HTML("", elem_id="several")
        about = gr.HTML(about_text, elem_id="about")
        foot = gr.HTML(foot_text, elem_id="foot")
        pressed = _connect(widgets, events)
        if service.confirms_late:
            _connect_saving(widgets, events, pressed)
        worded = [header, ways, examples, widgets.question, kept, about, foot]
        blocks.load(events.on_load, None, worded, **_DIRECT)
        api(events.classify, api_name="classify")
        api(events.wrong_label, api_name="wrong_label")
    blocks.queue(api_open=False, max_size=_QUEUED_EVENTS, default_concurrency_limit=_EVENTS_AT_ONCE)
    queue = blocks._queue  # noqa: SLF001 - it cannot be told otherwise
    queue.sleep_when_free, queue.progress_update_sleep_when_free = _QUEUE_LOOKED_AT_S, _PROGRESS_LOOKED_AT_S
    return blocks


def _inputs(ways_text: str) -> tuple[gr.Image, gr.HTML, gr.HTML, gr.Textbox]:
    """Where a picture comes in: drop zone, the layer over it that says why, camera and clipboard, address."""
    with gr.Column(elem_id="frame"):
        picture = gr.Image(
            label=translated("photo"),
            show_label=False,
            sources=["upload"],
            type="filepath",
            height=420,
            placeholder=str(translated("drop")),
            buttons=[],
            elem_id="photo",
        )
        heat = gr.HTML("", elem_id="heat")
    ways = gr.HTML(ways_text, elem_id="ways")
    url = gr.Textbox(
        label=translated("url"),
        show_label=False,
        placeholder=translated("url_placeholder"),
        max_lines=1,
        html_attributes=gr.InputHTMLAttributes(autocapitalize="off", autocomplete="off", enterkeyhint="go"),
        elem_id="url",
    )
    return picture, heat, ways, url


def _answer(texts: Texts, consent_text: str) -> tuple[dict[str, Any], gr.HTML]:
    """Where the answer appears, and where the person answers in turn; and what is told about keeping photos."""
    waiting = message_html("{}", kind="waiting").format(translated("waiting"))  # the browser fills the words in
    answer = gr.HTML(waiting, elem_id="answer")
    with gr.Column(visible=False, elem_id="ask") as ask:
        with gr.Row(elem_id="ask-line"):
            question = gr.HTML(f"<p>{texts.question}</p>", elem_id="question")
            why = gr.Button(translated("why"), visible=False, size="sm", elem_id="why")
        with gr.Row():
            right = gr.Button(translated("right"), elem_id="right", min_width=120)
            wrong = gr.Button(translated("wrong"), elem_id="wrong", min_width=120)
        choices = gr.Radio([], label=texts.choose, visible=False, elem_id="choices")
        thanks = gr.HTML("", elem_id="thanks")
        take_back = gr.Button(translated("take_back"), visible=False, size="sm", elem_id="take-back")
    consent = gr.HTML(consent_text, elem_id="consent")
    parts = {
        "answer": answer,
        "ask": ask,
        "question": question,
        "why": why,
        "right": right,
        "wrong": wrong,
        "choices": choices,
        "thanks": thanks,
        "take_back": take_back,
        "memory": gr.JSON(visible=False),
    }
    return parts, consent


def _connect(w: _Widgets, events: PageEvents) -> tuple[Dependency, ...]:
    """Say which event changes what; returns those by which a person answers."""
    shown = [getattr(w, field.name) for field in fields(w) if field.name not in ("url", "audit")]
    said = [w.thanks, w.take_back, w.memory]
    on = partial(gr.on, preprocess=False, **_DIRECT)
    on(w.picture.input, events.on_photo, [w.picture, w.audit], shown, trigger_mode="always_last")
    on(w.picture.input, None, None, w.url, js="() => ''")  # the address is of another picture
    on(w.url.submit, events.on_url, [w.url, w.audit], shown, trigger_mode="always_last")
    on(w.wrong.click, None, None, w.choices, js=_SHOW)
    on(w.why.click, events.on_why, w.memory, [w.heat, w.memory])
    agreed = on(w.right.click, events.on_right, [w.memory, w.picture], said)
    chosen = on(w.choices.input, events.on_choice, [w.memory, w.picture, w.choices], said, trigger_mode="always_last")
    on(w.take_back.click, events.on_take_back, w.memory, [*said, w.choices])
    return agreed, chosen


def _connect_saving(w: _Widgets, events: PageEvents, pressed: Sequence[Dependency]) -> None:
    """After an answer, look from time to time whether it is saved."""
    timer = gr.Timer(_SAVED_LOOKED_AT_S, active=False)
    for press in pressed:
        press.then(events.on_sent, w.memory, timer, preprocess=False, **_DIRECT)
    timer.tick(events.on_look, w.memory, [w.thanks, timer], preprocess=False, **_DIRECT)
