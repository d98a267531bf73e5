"""The Gradio page: layout, events and HTML."""
