"""LitServe with the same classifier: `python -m benchmarks.peers.litserve_app MODEL_FOLDER PORT WORKERS`.

With one worker process a core each uses one thread of torch, so that they do not compete.
"""

import sys
from pathlib import Path
from typing import Any

import litserve
import litserve.server
import torch
from fastapi import Request

from benchmarks.peers.plain_classifier import PlainClassifier

litserve.server._MCP_AVAILABLE = False  # noqa: SLF001 - that part fails beside newer versions of the package mcp


class Api(litserve.LitAPI):
    """Decoding and network in the worker, as LitServe's examples have it."""

    def __init__(self, folder: Path, threads: int) -> None:
        super().__init__(api_path="/predict")
        self._folder = folder
        self._threads = threads

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe's signature
        """In the worker process."""
        torch.set_num_threads(self._threads)
        self.classifier = PlainClassifier(self._folder)

    def decode_request(self, request: Request, **_: Any) -> torch.Tensor:
        """From a form, which is what LitServe gives for a `Request`, to a batch of one."""
        file: Any = request["file"]
        return self.classifier.decode(file.file.read())[None]

    def predict(self, x: torch.Tensor, **_: Any) -> torch.Tensor:
        """Run the network."""
        return self.classifier.probabilities(x)[0]

    def encode_response(self, output: torch.Tensor, **_: Any) -> dict[str, object]:
        """Label and probabilities."""
        return self.classifier.answer(output)


if __name__ == "__main__":
    workers = int(sys.argv[3])
    api = Api(Path(sys.argv[1]), threads=1 if workers > 1 else torch.get_num_threads())
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=workers)
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="warning")
