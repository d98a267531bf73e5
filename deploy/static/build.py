"""`python -m deploy static --out DIR`: the classifier as a folder of files that any web server can serve."""

import base64
import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import web.page
from catdog import __version__
from catdog.errors import CatdogError, SettingsError
from catdog.model.metadata import METADATA_FILE, NEITHER, UNSURE, possible_verdicts
from catdog.settings import PROJECT_ROOT
from deploy.static.model import StaticModel
from deploy.static.runtime import RUNTIME_FILES, page_content, page_name
from web.i18n import ENGLISH, LANGUAGES, Texts
from web.page.examples import OURS, Examples
from web.page.html import about_html

_HALF = 0.5
_ONE_PERCENT = 0.01
BROWSER = PROJECT_ROOT / "browser"
LIST_FILE = "files.js"
_STATIC = Path(web.page.__file__).with_name("static")
_LOOK = _STATIC / "page.css"
_OWN_TEXTS = "texts.json"
_UNLISTED = frozenset({LIST_FILE, "sw.js", "README.md"})
"""What browsers keep in a way of their own, and what no page asks for."""
_SIDES = (192, 512)
_PAPER = "#fafaf9"


@dataclass(frozen=True, slots=True)
class Built:
    """A folder that was built."""

    folder: Path
    sizes: dict[str, int]
    """Bytes by path."""

    @property
    def first_load(self) -> int:
        """Bytes that a browser without WebGPU fetches on its first visit, uncompressed."""
        return sum(size for path, size in self.sizes.items() if "jspi" not in path and path != "README.md")


def build_static(model: StaticModel, runtime: Path, out: Path, *, feedback: str | None = None) -> Built:
    """Build the page's folder; an earlier build in its place is replaced as a whole.

    Args:
        model: What the page runs.
        runtime: The folder with ONNX Runtime's files.
        out: The folder to make.
        feedback: Address of the app that takes corrections; None keeps them in the visitor's browser.

    Raises:
        SettingsError: `out` holds something else, or `feedback` is not an address.
        CatdogError: the folder cannot be written.
    """
    page = _page(model, feedback)
    if out.exists() and not (out / LIST_FILE).is_file() and not _is_empty(out):
        raise SettingsError(f"{out} is not empty and no earlier build. Name another folder, or remove it.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".static-", dir=out.parent) as aside:
            folder = Path(aside) / out.name
            _fill(folder, model, runtime, page)
            if out.exists():
                shutil.rmtree(out)
            folder.rename(out)
    except OSError as error:
        raise CatdogError(f"{error.filename or out} cannot be read or written: {error.strerror}.") from None
    return Built(out, {path: (out / path).stat().st_size for path in _paths(out)})


def _fill(folder: Path, model: StaticModel, runtime: Path, page: dict[str, Any]) -> None:
    (folder / "ort").mkdir(parents=True)
    for name in RUNTIME_FILES:
        (folder / "ort" / page_name(name)).write_bytes(page_content(name, (runtime / name).read_bytes()))
    _copy(model.folder, folder, (model.network, METADATA_FILE))
    _copy(BROWSER, folder, [path.name for kind in ("*.js", "*.css", "*.html") for path in BROWSER.glob(kind)])
    shutil.copyfile(_LOOK, folder / "look.css")
    labels = model.metadata.labels
    examples = _examples(folder / "examples", labels)
    texts = {
        each.language: {
            **page_texts(each, labels),
            "own": _own_texts(each.language),
            "examples": {name: dict(each.example_names).get(name, name) for name in examples},
            "about": about_html(model.metadata, model.revision, each),
        }
        for each in LANGUAGES
    }
    _write_json(folder / _OWN_TEXTS, texts)
    _write_json(folder / "page.json", page)
    _write_json(folder / "manifest.webmanifest", _manifest(ENGLISH.title(labels), ENGLISH.tagline))
    for side in _SIDES:
        shutil.copyfile(_STATIC / f"icon-{side}.png", folder / f"icon-{side}.png")
    (folder / "README.md").write_text(_readme(model, ENGLISH.title(labels), ENGLISH.tagline), encoding="utf-8")
    hashes = {path: _sha256_base64(folder / path) for path in _paths(folder) if path not in _UNLISTED}
    (folder / LIST_FILE).write_text(f"self.FILES = {json.dumps(hashes, indent=2)};\n", encoding="utf-8")


def _examples(folder: Path, labels: Sequence[str]) -> list[str]:
    """Copy the example photos that are part of this repository; returns their names."""
    folder.mkdir()
    examples = Examples()
    names = [name for name in examples.names(labels) if name in OURS]
    for name in names:
        (folder / f"{name}.jpg").write_bytes(examples.picture(name) or b"")
    return names


def _own_texts(language: str) -> dict[str, str]:
    """The sentences of this page alone."""
    texts: dict[str, str] = json.loads((BROWSER / "i18n" / f"{language}.json").read_text(encoding="utf-8"))
    return texts


def _page(model: StaticModel, feedback: str | None) -> dict[str, Any]:
    """`page.json`, see `browser/ask.js`."""
    if feedback is not None and (urlsplit(feedback).scheme not in ("http", "https") or not urlsplit(feedback).netloc):
        raise SettingsError(f"{feedback!r} is not an address of an app. It begins with https://.")
    return {
        "network": model.network,
        "model_id": model.model_id,
        "model_revision": model.revision,
        "app_version": __version__,
        "feedback": feedback,
    }


def _manifest(title: str, description: str) -> dict[str, Any]:
    icons = [
        {"src": f"icon-{side}.png", "sizes": f"{side}x{side}", "type": "image/png", "purpose": purpose}
        for side in _SIDES
        for purpose in ("any", "maskable")
    ]
    return {
        "name": title,
        "short_name": title,
        "description": description,
        "start_url": "./",
        "scope": "./",
        "display": "standalone",
        "background_color": _PAPER,
        "theme_color": _PAPER,
        "icons": icons,
    }


def _readme(model: StaticModel, title: str, tagline: str) -> str:
    """The README of a static Space: its front matter configures the Space.

    The headers isolate the page from others, without which browsers give WebAssembly one thread only.
    """
    matter: dict[str, Any] = {
        "title": title,
        "emoji": "\N{CAMERA}",
        "colorFrom": "yellow",
        "colorTo": "red",
        "sdk": "static",
        "app_file": "index.html",
        "license": "apache-2.0",
        "short_description": "Photos are classified on your own device",
        "custom_headers": {
            "cross-origin-embedder-policy": "require-corp",
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-resource-policy": "cross-origin",
        },
    }
    if "/" in model.model_id:
        matter["models"] = [model.model_id]
    lines = "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in matter.items())  # YAML, too
    return (
        f"---\n{lines}---\n\n# {title}\n\n{tagline}\n\nThe model runs in the browser: photos do not leave the device. "
        f"Model: {model.model_id} ({model.revision}).\n\n"
        "`ort/` is ONNX Runtime Web, copyright Microsoft Corporation, MIT licence.\n"
    )


def _copy(source: Path, target: Path, names: "tuple[str, ...] | list[str]") -> None:
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _paths(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _sha256_base64(path: Path) -> str:
    return base64.b64encode(hashlib.sha256(path.read_bytes()).digest()).decode()


def page_texts(texts: Texts, labels: Sequence[str]) -> dict[str, Any]:
    """What `browser/texts.js` reads: sentences, and those that depend on labels, with `{percent}` left open."""
    answers = possible_verdicts(labels)
    values = {field.name: getattr(texts, field.name) for field in fields(texts)}
    sentences = {name: value for name, value in values.items() if isinstance(value, str)}
    return {
        "app": {"title": texts.title(labels), **sentences},
        "names": {label: texts.shown(label) for label in labels},
        "verdicts": {answer: texts.verdict(answer, labels) for answer in answers},
        "choices": {answer: texts.choice(answer, labels) for answer in answers},
        "sureness": {kind: _sureness(texts, kind, labels) for kind in ("label", NEITHER, UNSURE)},
        "why": {label: texts.why_explained.format(label=texts.name(label)) for label in labels},
        "percent": _percent(texts),
    }


def _sureness(texts: Texts, kind: str, labels: Sequence[str]) -> dict[str, str]:
    """How sure the model is, by label."""
    percent = texts.percent(_HALF)
    verdicts = {label: label if kind == "label" else kind for label in labels}
    return {label: texts.sureness(verdicts[label], label, _HALF).replace(percent, "{percent}") for label in labels}


def _percent(texts: Texts) -> dict[str, str | float]:
    """How probabilities are written: the bounds are in the words for what is beyond them."""
    above, below = texts.percent(1.0), texts.percent(0.0)
    return {
        "above": above,
        "below": below,
        "highest": _number(above),
        "lowest": _number(below),
        "other": texts.percent(_ONE_PERCENT).replace(f"1{texts.decimal_point}0", "{percent}"),
    }


def _number(text: str) -> float:
    return float("".join(each for each in text.replace(",", ".") if each.isdigit() or each == "."))
