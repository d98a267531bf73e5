"""Packages that Gradio and pandas import wherever they find them, kept out of a server that does not use them."""

import sys

from catdog.settings import Settings


def keep_unused_out(settings: Settings) -> None:
    """Let imports of these fail in this process as if they were not installed; called before the first of them.

    Gradio would import matplotlib before the first event, in the event loop: 27 MB, and a second in which nobody is
    answered. The others are 13 and 34 MB.
    """
    used = {"matplotlib": False, "mcp": settings.mcp, "pyarrow": bool(settings.feedback_repo)}
    for package, is_used in used.items():
        if not is_used:
            sys.modules[package] = None  # type: ignore[assignment]  # the way that Python's reference names
