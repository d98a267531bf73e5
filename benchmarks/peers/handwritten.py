"""The server that a user would write: FastAPI, Pillow, timm and eager torch, in one process.

    python -m benchmarks.peers.handwritten MODEL_FOLDER PORT

FastAPI runs the route in its thread pool, as its documentation advises for work that blocks.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, File, UploadFile

from benchmarks.peers.plain_classifier import PlainClassifier

classifier = PlainClassifier(Path(sys.argv[1]))
app = FastAPI()


@app.post("/predict")
def predict(file: Annotated[UploadFile, File()]) -> dict[str, Any]:
    return classifier.classify(file.file.read())


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
