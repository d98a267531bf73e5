"""A Gradio page with a picture to upload and a label: `python -m benchmarks.peers.bare_blocks PORT`."""

import sys

import gradio as gr

with gr.Blocks(analytics_enabled=False) as page:
    image = gr.Image(type="filepath")
    label = gr.Label()
    image.upload(lambda path: {"file": 1.0 if path else 0.0}, image, label)

if __name__ == "__main__":
    page.launch(server_name="127.0.0.1", server_port=int(sys.argv[1]), quiet=True, run_history=False)
