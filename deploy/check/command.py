"""`python -m deploy evaluate`: from its arguments to what it prints."""

import argparse
import logging
import sys
import tempfile
from pathlib import Path

from tqdm import tqdm

from catdog.cli import counted
from catdog.errors import HubError, ModelError
from catdog.hub.models import load_commit
from catdog.model.model import Model
from catdog.settings import EMBEDDED_MODEL, Settings
from deploy.check.client import Reply, Service
from deploy.check.evaluate import Evaluation, evaluate
from deploy.check.labelled import read_labelled
from deploy.check.report import describe, describe_feedback
from feedback.hub.rows import create_collection
from feedback.journal.journal import JOURNAL_FILE, Journal
from feedback.review.audit import count_audits

log = logging.getLogger(__name__)


def run_evaluate(arguments: argparse.Namespace, settings: Settings, *, token: str | None) -> int:
    """Evaluate, write the results, print the report.

    Returns:
        1 if the service failed to answer for a picture that it should have answered for.
    """
    hub_token = settings.hf_token.get_secret_value() if settings.hf_token else None
    pictures = read_labelled(
        arguments.data, limit=arguments.limit, seed=arguments.seed, endpoint=settings.hf_endpoint, token=hub_token
    )
    with Service(arguments.url, token=token) as service:
        health = service.wait_until_healthy(deadline_s=arguments.timeout)
        model = Model.load(arguments.model) if arguments.model else _find_model(health, settings)
        shown = tqdm(pictures, unit="image", total=arguments.limit, disable=None, file=sys.stderr)
        evaluation = evaluate(service, shown, model=model)
    evaluation.write(arguments.out)
    lines = [*describe(evaluation, model.metadata if model else None), *_feedback(settings)]
    print(*lines, f"\n{counted(len(evaluation.results), 'answer')} in {arguments.out}", sep="\n")  # noqa: T201
    return _exit_code(evaluation)


def _exit_code(evaluation: Evaluation) -> int:
    if evaluation.failed:
        log.error("%d pictures got no answer, which is the service's fault.", len(evaluation.failed))
    return 1 if evaluation.failed else 0


def _find_model(health: Reply, settings: Settings) -> Model | None:
    """The very revision that the service answers with: the embedded one, or the Hub's; None where neither is here."""
    model_id, revision = str(health.body["model_id"]), str(health.body["model_revision"])
    try:
        if health.body["origin"] in ("hub", "cache"):
            with tempfile.TemporaryDirectory() as folder:  # what the app remembers there is none of our business
                told = {"model": model_id, "model_revision": revision, "data_dir": Path(folder)}
                return load_commit(settings.model_copy(update=told), revision)
        embedded = Model.load(EMBEDDED_MODEL)
    except (HubError, ModelError) as error:
        log.warning("The model is not compared with itself offline: %s", error)
        return None
    return embedded if embedded.revision == revision else None


def _feedback(settings: Settings) -> list[str]:
    """What people said, as far as this machine can see."""
    if not settings.feedback_repo and not (settings.data_dir / JOURNAL_FILE).is_file():
        return ["", "no feedback can be seen from here; set CATDOG_FEEDBACK_REPO or CATDOG_DATA_DIR"]
    with Journal.open_to_read(settings.data_dir) as journal:
        collection = create_collection(journal, settings, max_age_s=600.0)
        return describe_feedback(collection.stats(), count_audits(collection.reviewed(pictures=False)))
