"""Files that the page's visitors sent: found again by what the browser says of them, and nothing else on this disk."""

import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from catdog.errors import UnreadableImageError
from feedback.row import Source

# The names that the page's scripts give to pictures that come from no file.
_PASTED = "clipboard.png"
_SNAPSHOT = "snapshot.jpg"
_NOT_SHOWN_BY_BROWSERS = (".heic", ".heif")


class Uploads:
    """The folder of uploads, of this process alone."""

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        """Use a folder that exists; of a file, at most `max_bytes` and one more are read: enough to refuse it."""
        self.folder = folder.resolve()
        self._max_bytes = max_bytes

    def holds(self, path: str) -> bool:
        """Whether a path lies in the folder, wherever its links lead."""
        return "\0" not in path and Path(path).resolve().is_relative_to(self.folder)

    def read(self, file: Mapping[str, Any], *, refusal: str) -> bytes:
        """The bytes of an uploaded file.

        Args:
            file: Gradio's description of it.
            refusal: What to say of a path that was not uploaded, or is gone.

        Raises:
            UnreadableImageError: it was not uploaded, or is gone.
        """
        path = file.get("path")
        if not isinstance(path, str) or not self.holds(path):
            raise UnreadableImageError(refusal)
        try:
            with Path(path).open("rb") as opened:
                size = os.fstat(opened.fileno()).st_size  # a buffer for the most would stay behind, cut to what came
                return opened.read(min(size, self._max_bytes + 1))
        except OSError:
            raise UnreadableImageError(refusal) from None

    def write(self, jpeg: bytes) -> str:
        """Put a preview beside the uploads; returns its path."""
        path = self.folder / uuid.uuid4().hex / "preview.jpg"
        path.parent.mkdir(parents=True)
        path.write_bytes(jpeg)
        return str(path)


def source_of(file: Mapping[str, Any]) -> Source:
    """How a file came: from the disk, the clipboard or the camera."""
    name = file.get("orig_name")
    if name == _PASTED:
        return Source.CLIPBOARD
    return Source.WEBCAM if name == _SNAPSHOT else Source.UPLOAD


def needs_preview(file: Mapping[str, Any]) -> bool:
    """Whether a browser may be unable to show the file itself."""
    return str(file.get("orig_name")).lower().endswith(_NOT_SHOWN_BY_BROWSERS)
