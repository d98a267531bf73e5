"""Removes from installed packages what the app never opens, so that the image stays small. Runs in the image's build.

Only what is listed here goes; the build then imports what the app imports, so that a package which needs after all
what was removed fails there and not in production. It uses the standard library alone.
"""

import shutil
import subprocess
import sys
from pathlib import Path

_FOLDERS = (
    "numpy/**/tests",
    "pandas/tests",
    "pyarrow/tests",
    "pyarrow/include",
    "gradio/media_assets",  # example pictures, sounds and films
    "gradio/templates/node",  # server-side rendering, which is off
    "gradio/templates/frontend/static/ffmpeg",  # cutting films in the browser
    "gradio/templates/frontend/static/bokeh",  # plots; the page has none
    "onnxruntime/transformers",  # tools for making networks, not for running them
    "onnxruntime/quantization",
    "onnxruntime/tools",
    "onnxruntime/datasets",
)
_FILES = (
    "pyarrow/libarrow_flight.so*",  # remote tables and cloud storage: the app reads and writes Parquet files
    "pyarrow/libarrow_python_flight.so*",
    "pyarrow/_flight*.so",
    "onnxruntime/capi/libonnxruntime.so*",  # for programs in C; the Python module has its own copy inside
    "pyarrow/libarrow_s3.so*",
    "pyarrow/_s3fs*.so",
    "pyarrow/libarrow_python*.so",  # two copies of what is loaded as .so.2600: wheels know no links
    "pyarrow/libarrow_python*.so.*.*.*",
    "gradio/templates/frontend/assets/PlotlyPlot-*.js",
    "**/*.pyx",
)
_IMPORTS = "import gradio, onnxruntime, pandas, pillow_heif, pyarrow.parquet, huggingface_hub, uvicorn, fastapi"


def main(environment: str) -> int:
    """Prune the packages of a virtual environment and try the rest; returns the exit code."""
    (packages,) = Path(environment).glob("lib/python3*/site-packages")
    freed = 0
    for pattern in (*_FOLDERS, *_FILES):
        for path in list(packages.glob(pattern)):
            freed += _remove(path)
    print(f"{freed / 1e6:.0f} MB removed", file=sys.stderr)  # noqa: T201
    return subprocess.run([f"{environment}/bin/python3", "-B", "-c", _IMPORTS], check=False).returncode


def _remove(path: Path) -> int:
    """Delete a file or folder, unless it went with its own; returns its size in bytes."""
    if not path.exists():
        return 0
    if path.is_dir():
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        shutil.rmtree(path)
        return size
    size = path.stat().st_size
    path.unlink()
    return size


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
