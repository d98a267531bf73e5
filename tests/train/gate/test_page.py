"""The gate's report as a page to look at."""

from pathlib import Path

import numpy as np

from tests.toy import encoded, textured
from tests.train.gate.test_gate import NOW, outputs
from train.gate.evidence import Answers, Asked, Evidence, Latency
from train.gate.gate import judge
from train.gate.history import HISTORY_FILE, History, read_history
from train.gate.page import keep_verdict, page_of
from train.gate.rules import Rules


def judged(run: Path) -> str:
    """A challenger that has 20 of 40 mistakes right and one more wrong; its twin is the champion. The page."""
    found = outputs(60, champion=40, challenger=21, first=20)
    images = tuple(encoded(textured()) for _ in range(60))
    answers = Answers(found, np.arange(60), (Asked.VOLUNTEERED,) * 60, tuple((f"row{i}",) for i in range(60)), images)
    evidence = Evidence(outputs(2000), {}, answers, Latency(5.0, 5.0))
    report = judge(evidence, History(), rules=Rules(), now=NOW, champion="abc")
    run.mkdir(parents=True)
    keep_verdict(run, report, answers, ("cat", "dog"), History())
    return page_of(run).read_text()


def test_the_page_shows_pictures_won_and_lost_beside_counts_and_intervals(tmp_path: Path) -> None:
    page = judged(tmp_path / "run")
    assert "Won: only the challenger is right (20)" in page
    assert "Lost: only the champion is right (1)" in page
    assert page.count("data:image/jpeg") == 21
    assert "of 40 corrections 20 newly right (35% to 65%), 0 without the feedback" in page
    assert "row40" in page


def test_the_page_and_the_looks_lie_beside_the_model_folder(tmp_path: Path) -> None:
    judged(tmp_path / "run")
    assert sorted(path.name for path in tmp_path.iterdir()) == [HISTORY_FILE, "run", "run-gate.html"]
    (look,) = read_history(tmp_path).looks
    assert (look.champion, look.answers) == ("abc", 60)
    assert read_history(tmp_path / "run").looks == (look,)
