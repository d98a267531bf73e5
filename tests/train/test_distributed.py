import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.train.distributed import train_together


def test_two_processes_end_where_one_does(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    alone = train_together(tmp_path / "one")
    together = launched(tmp_path / "two")
    assert (alone["processes"], together["processes"]) == (1, 2)
    assert alone["steps"] == together["steps"] == 8 * (96 // 16)
    first, last = ([each["history"][index] for each in (alone, together)] for index in (0, -1))
    assert first[0]["log_loss"] == pytest.approx(first[1]["log_loss"], abs=0.05)
    for each in last:
        assert each["auc"] > 0.9, last
    # Not equal: batch normalisation sees half of the batch in each of two processes.
    assert last[0]["auc"] == pytest.approx(last[1]["auc"], abs=0.05)


def launched(folder: Path) -> dict:
    """By Accelerate's launcher; on a machine without a GPU it starts processes on the CPU all the same."""
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    options = ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    script = ["-m", "tests.train.distributed", str(folder)]
    result = subprocess.run(
        [*launcher, *options, *script], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return dict(json.loads((folder / "result.json").read_text()))
