"""The page's look, in Gradio's terms; page.css does the rest. Fonts are those of the visitor's own system."""

import gradio as gr

_FONT = ("ui-rounded", "SF Pro Rounded", "Segoe UI", "system-ui", "sans-serif")
_MONO = ("ui-monospace", "monospace")


def create_theme() -> gr.themes.Base:
    """Warm and quiet, in light and dark."""
    theme = gr.themes.Base(
        primary_hue="orange",
        neutral_hue="stone",
        radius_size="lg",
        text_size="lg",
        font=_FONT,
        font_mono=_MONO,
    )
    return theme.set(body_background_fill="*neutral_50", body_background_fill_dark="*neutral_950")
