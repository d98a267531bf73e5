"""What stands between Gradio and the outside; README.md beside this file says what each module is for."""

from web.route_table import Body, Cost, Entries, Entry

EVENTS = frozenset(("/gradio_api/queue/join", "/gradio_api/run/predict"))
"""Queued events, and the page's own."""
CALL = "/gradio_api/call/"
"""Functions that programs call by name."""
UPLOAD = "/gradio_api/upload"
"""Files; what begins like it is their progress."""
MCP = "/gradio_api/mcp"

ENTRIES: Entries = {
    **{("POST", path): Entry(Cost.EVENT, Body.SMALL) for path in (*EVENTS, f"{CALL}*", MCP)},
    ("POST", UPLOAD): Entry(Cost.UPLOAD, Body.PICTURE),
    ("GET", "/gradio_api/upload_progress"): Entry(Cost.UPLOAD),
}
"""What Gradio's routes cost, and how large their bodies may be."""
