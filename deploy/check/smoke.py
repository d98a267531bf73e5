"""`python -m deploy smoke`: does a running service do what it is for? Health, a prediction, feedback, metrics."""

import io
import logging
import os
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from httpx import codes
from PIL import Image

from catdog.errors import ServiceError
from deploy.check.client import Reply, Service

log = logging.getLogger(__name__)

_FALLBACKS = ("cache", "embedded")
_ADDS_UP = 1e-3
_LARGE_UPLOAD = 2_000_000
_HOST_LINE = "Let the proxy keep the Host header (nginx: proxy_set_header Host $http_host;), or set CATDOG_PUBLIC_URL."
_SCHEME_LINE = (
    "Let the proxy tell the scheme (nginx: proxy_set_header X-Forwarded-Proto $scheme;), or set CATDOG_PUBLIC_URL."
)
_BODY_LINE = "The proxy must let larger bodies pass (nginx: client_max_body_size 25m;)."


@dataclass(frozen=True, slots=True)
class Expected:
    """What the service must be; None is anything."""

    model_id: str | None = None
    revision: str | None = None
    """The model's commit on the Hub."""
    label: str | None = None
    """What the picture shows."""
    fallback: bool = False
    """Whether a model that stands in for one which the Hub did not give is good enough."""


def smoke(service: Service, expected: Expected, *, deadline_s: float, picture: bytes | None = None) -> list[str]:
    """Go through everything that a client does once. What it leaves behind are counts: its feedback is taken back.

    Args:
        service: The running service.
        expected: What it must be.
        deadline_s: How long it may take to become healthy.
        picture: An encoded picture; None is a random one, about which nothing but the form of the answer is known.

    Returns:
        What was found right, a sentence each.

    Raises:
        ServiceError: something is wrong; the message says what.
    """
    sent = picture or _random_picture()
    health = service.wait_until_healthy(deadline_s=deadline_s).body
    done = [_check_health(health, expected)]
    answer = service.predict(sent)
    done.append(_check_answer(answer, health, expected))
    done.append(_check_feedback(service, answer.body, sent))
    done.append(_check_metrics(service))
    done.append(check_proxy(service))
    for sentence in done:
        log.info("ok: %s", sentence)
    return done


def _check_health(health: Any, expected: Expected) -> str:
    model, revision, origin = health.get("model_id"), health.get("model_revision"), health.get("origin")
    live = f"{model} at {revision} ({origin})"
    _require(expected.model_id in (None, model), f"/health: the model is {live}, not {expected.model_id}")
    _require(expected.revision in (None, revision), f"/health: the model is {live}, not at {expected.revision}")
    _require(
        expected.fallback or origin not in _FALLBACKS,
        f"/health: the model is {live}, which stands in for one that the Hub did not give. {_warnings(health)}",
    )
    return f"health: {live}, labels {', '.join(health.get('labels', ()))}"


def _warnings(health: Any) -> str:
    return " ".join(health.get("warnings") or ["Check CATDOG_MODEL, HF_TOKEN and the network there."])


def _check_answer(reply: Reply, health: Any, expected: Expected) -> str:
    _require(reply.status == codes.OK, f"/predict answered {reply.said}")
    body = reply.body
    probabilities = body.get("probabilities", {})
    labels = list(health["labels"])
    _require(list(probabilities) == labels, f"/predict knows the labels {list(probabilities)}, /health {labels}")
    total = sum(probabilities.values())
    _require(abs(total - 1) < _ADDS_UP, f"/predict: the probabilities add up to {total:.4f}")
    _require(body["label"] == max(probabilities, key=probabilities.__getitem__), "/predict: label is not the likeliest")
    _require(
        expected.revision in (None, body["model_revision"]),
        f"/predict answers with the model at {body['model_revision']}, not at {expected.revision}",
    )
    _require(expected.label in (None, body["label"]), f"/predict says {body['label']}, not {expected.label}")
    return f"prediction: {body['label']} with {body['confidence']:.3f} in {body['latency_ms']:.0f} ms"


def _check_feedback(service: Service, answer: Any, picture: bytes) -> str:
    """Say that the prediction is right, see it kept, and take it back."""
    kept = service.correct(answer["request_id"], answer["label"], picture=picture)
    _require(
        kept.status in (codes.CREATED, codes.ACCEPTED),
        f"/feedback answered {kept.said} instead of keeping a new answer",
    )
    _require(bool(kept.body.get("receipt")), "/feedback gave no receipt")
    status = service.ask("GET", f"/feedback/{kept.body['id']}")
    taken = service.ask("DELETE", "/feedback", json={"receipt": kept.body["receipt"]})
    _require(taken.status == codes.NO_CONTENT, f"/feedback did not take the answer back: {taken.said}")
    known = status.status == codes.OK and status.body["status"] in ("received", "saved")
    _require(known or status.status == codes.NOT_FOUND, f"/feedback/ID answered {status.said}")  # of another replica
    return f"feedback: {kept.body['status']}, and taken back"


def _check_metrics(service: Service) -> str:
    counts = service.ask("GET", "/metrics", headers={"Accept": "application/json"})
    _require(counts.status == codes.OK, f"/metrics answered {counts.said} to JSON")
    status, text = service.text("/metrics")
    _require(status == codes.OK, f"/metrics answered {status}")
    _require("\ncatdog_predictions_total" in text, "/metrics counts no predictions")
    return f"metrics: {counts.body['successful_requests']} of {counts.body['total_requests']} predictions made"


def check_proxy(service: Service) -> str:
    """Whether a proxy in front of the service passes on what the page needs.

    Raises:
        ServiceError: it does not; the message names the missing line for nginx.
    """
    page = service.send("GET", "/")
    _require(page.status_code == codes.OK, f"the page answered {page.status_code}")
    posted = service.send("POST", "/predict", files={"file": ("a", b"-")}, headers={"Origin": service.origin})
    _require(posted.status_code != codes.FORBIDDEN, f"the page's own requests are refused. {_HOST_LINE}")
    _check_root(service, page.text)
    large = service.send("POST", "/predict", files={"file": ("a", bytes(_LARGE_UPLOAD))})
    is_ours = "json" in large.headers.get("Content-Type", "")
    _require(is_ours, f"an upload of 2 MB never reached the app ({large.status_code} from a proxy). {_BODY_LINE}")
    _check_hops(service)
    return "proxy: host, scheme, path and 2 MB uploads arrive as they should"


def _check_hops(service: Service) -> None:
    """Whether the proxy names its clients, where there is one: the app itself doesn't say which server it is."""
    health = service.send("GET", "/health", headers={"Origin": service.origin})
    if "Server" in health.headers or "Via" in health.headers:
        missing = [each for each in health.json().get("warnings", ()) if each.startswith("X-Forwarded-For")]
        _require(not missing, " ".join(missing))


def _check_root(service: Service, page: str) -> None:
    """The address that the page takes for its own; another host than the one asked is CATDOG_PUBLIC_URL's choice."""
    found = re.search(r'"root": ?"([^"]*)"', page)
    if found is None:
        return
    root, asked = urlsplit(found[1].rstrip("/")), urlsplit(service.url)
    wrong = f"the page takes {found[1]} for its own address."
    _require(root.netloc == asked.netloc or root.hostname != asked.hostname, f"{wrong} {_HOST_LINE}")
    if root.netloc != asked.netloc:
        return
    _require(root.scheme == asked.scheme, f"{wrong} {_SCHEME_LINE}")
    _require(root.path == asked.path, f"{wrong} Below a path set CATDOG_PUBLIC_URL={service.url}")


def _require(holds: bool, problem: str) -> None:
    if not holds:
        raise ServiceError(f"The smoke test failed. {problem}")


def _random_picture() -> bytes:
    """A picture that was never sent before, so that its feedback is new."""
    noise = Image.frombytes("RGB", (16, 16), os.urandom(16 * 16 * 3)).resize((224, 224), Image.Resampling.BICUBIC)
    out = io.BytesIO()
    noise.save(out, "JPEG", quality=90)
    return out.getvalue()
