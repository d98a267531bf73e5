"""Two skins, a Gradio page and a REST API, over one service."""
