"""`python -m deploy evaluate` against the running app: labelled pictures in, a list of answers and a report out."""

import json
import uuid
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import HfApi

from catdog.cli import run
from catdog.model.model import Model
from deploy.__main__ import main
from deploy.check.evaluate import wilson
from feedback.decision import accept
from feedback.journal.journal import Journal
from feedback.row import FeedbackRow, Source, new_row
from tests.deploy.conftest import FEEDBACK
from tests.toy import encoded, picture, textured
from tests.web.conftest import Server


def folder_of(path: Path, colours: dict[str, list[str]]) -> Path:
    """A folder of pictures: for each label, the colours that its pictures have."""
    for label, shown in colours.items():
        (path / label).mkdir(parents=True)
        for number, colour in enumerate(shown):
            (path / label / f"{number}.png").write_bytes(encoded(picture(colour), "PNG"))
    return path


def evaluate(server: Server, data: Path | str, tmp_path: Path, *arguments: str) -> int:
    out = str(tmp_path / "results.json")
    return run(main, ["evaluate", server.url, "--data", str(data), "--out", out, "--timeout", "5", *arguments])


def toy_of(server: Server) -> str:
    return str(server.data_dir.parent / "toy")


@pytest.fixture(autouse=True)
def _own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATDOG_DATA_DIR", str(tmp_path / "data"))


def test_a_folder_is_sent_and_every_answer_written(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = folder_of(tmp_path / "pictures", {"red": ["red", "red", "blue"], "green": ["green"]})
    (data / "red" / "broken.png").write_bytes(b"no picture")
    assert evaluate(server, data, tmp_path, "--model", toy_of(server)) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert [list(each) for each in results] == [
        ["image", "true_label", "predicted_label", "confidence", "model_revision"]
    ] * 4
    assert {(each["image"], each["true_label"], each["predicted_label"]) for each in results} == {
        ("green/0.png", "green", "green"),
        ("red/0.png", "red", "red"),
        ("red/1.png", "red", "red"),
        ("red/2.png", "red", "blue"),
    }
    told = capsys.readouterr().out
    low, high = wilson(3, 4)
    assert f"live accuracy: 75.00% (95% interval {low:.2%} to {high:.2%}, n 4)" in told
    assert "offline accuracy of the same revision, same pictures: 75.00%" in told
    assert "disagreement: 0 of 4" in told
    assert "1 picture could not be read by the service" in told
    assert "no feedback can be seen from here" in told


def test_without_the_same_model_here_nothing_is_compared(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = folder_of(tmp_path / "pictures", {"red": ["red"], "green": ["green"]})
    assert evaluate(server, data, tmp_path) == 0
    assert "not compared" in capsys.readouterr().out


@pytest.mark.parametrize("column", ["label", "labels"])
def test_a_data_set_on_the_hub_is_sent(
    column: str, server: Server, api: HfApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    features = datasets.Features({"image": datasets.Image(), column: datasets.ClassLabel(names=["blue", "red"])})
    columns = {"image": [picture("red"), picture("blue"), picture("blue")], column: [1, 0, 1]}
    rows = datasets.Dataset.from_dict(columns, features=features)
    rows.to_parquet(tmp_path / "rows.parquet")
    api.create_repo("local/labelled", repo_type="dataset")
    api.upload_file(
        path_or_fileobj=tmp_path / "rows.parquet",
        path_in_repo="data/test-00000-of-00001.parquet",
        repo_id="local/labelled",
        repo_type="dataset",
    )
    assert evaluate(server, "local/labelled", tmp_path) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert [(each["true_label"], each["predicted_label"]) for each in results] == [
        ("red", "red"),
        ("blue", "blue"),
        ("red", "blue"),
    ]
    assert results[0]["image"] == "data/test-00000-of-00001.parquet#0"


def parquet_of(folder: Path, labels: list[int | None]) -> Path:
    """Parquet of red pictures whose labels 0 and 1 are blue and red; it may have others, which `datasets` refuses."""
    folder.mkdir()
    told = {"info": {"features": {"label": {"names": ["blue", "red"], "_type": "ClassLabel"}}}}
    rows = pa.table({"image": [{"bytes": encoded(picture("red"))}] * len(labels), "label": labels})
    pq.write_table(rows.replace_schema_metadata({"huggingface": json.dumps(told)}), folder / "rows.parquet")
    return folder


def test_rows_without_a_label_are_left_out_and_counted(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = parquet_of(tmp_path / "rows", [1, -1, None, 2, 1])
    assert evaluate(server, data, tmp_path) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert [(each["image"], each["true_label"]) for each in results] == [
        ("rows.parquet#0", "red"),
        ("rows.parquet#4", "red"),
    ]
    assert "3 of 5 rows have no picture or no label" in caplog.text


def test_data_without_any_label_is_a_sentence(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(server, parquet_of(tmp_path / "rows", [-1, 7]), tmp_path) == 1
    assert "no row has both a picture and a label" in capsys.readouterr().err


@pytest.mark.parametrize("keep", [0, 100, -8])
def test_damaged_parquet_is_a_sentence(
    keep: int, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = parquet_of(tmp_path / "rows", [0, 1]) / "rows.parquet"
    file.write_bytes(file.read_bytes()[:keep])
    assert evaluate(server, file.parent, tmp_path) == 1
    assert "rows.parquet cannot be read as Parquet" in capsys.readouterr().err


def test_a_picture_that_cannot_be_opened_is_left_out_and_named(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = folder_of(tmp_path / "pictures", {"red": ["red"], "green": ["green"]})
    (data / "red" / "gone.png").symlink_to(tmp_path / "nowhere")
    assert evaluate(server, data, tmp_path) == 0
    assert len(json.loads((tmp_path / "results.json").read_text())) == 2
    assert "gone.png" in caplog.text
    assert "No such file or directory" in caplog.text


def test_a_limit_takes_pictures_at_random_and_always_the_same(server: Server, tmp_path: Path) -> None:
    data = folder_of(tmp_path / "pictures", {"red": ["red"] * 9, "green": ["green"] * 9})
    chosen = []
    for seed in ("1", "1", "2"):
        assert evaluate(server, data, tmp_path, "--limit", "6", "--seed", seed) == 0
        chosen.append([each["image"] for each in json.loads((tmp_path / "results.json").read_text())])
    assert len(chosen[0]) == 6
    assert chosen[0] == chosen[1] != chosen[2]


def test_feedback_is_reported_as_biased_and_the_audit_sample_as_accuracy(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = Model.load(Path(toy_of(server)))

    def row(colour: str, label: str, *, audit: bool = False) -> FeedbackRow:
        image = textured(colour)
        return new_row(
            prediction=model.predict(image),
            picture=image,
            corrected_label=label,
            request_id=uuid.uuid4().hex,
            source=Source.UPLOAD,
            client="",
            extra={"audit": True} if audit else {},
        )

    answers = [row("red", "red"), row("red", "blue"), row("blue", "green")]
    sample = [row("red", "unsure", audit=True) for _ in range(4)]
    with Journal.open(tmp_path / "data") as journal:
        for each in (*answers, *sample):
            journal.append(each)
        truth = ("red", "red", "blue")
        journal.decide([accept(each, by="me", label=label) for each, label in zip(sample[:3], truth, strict=True)])
    assert evaluate(server, folder_of(tmp_path / "p", {"red": ["red"], "blue": ["blue"]}), tmp_path) == 0
    told = capsys.readouterr().out
    assert "biased" in told
    assert "3 answers, 66.7% corrections, 33.3% confirmations" in told
    low, high = wilson(2, 3)
    assert f"4 sampled, 3 reviewed, accuracy 66.67% (95% interval {low:.2%} to {high:.2%}, n 3)" in told
    assert "review the rest" in told


def test_a_service_that_answers_for_nothing_is_a_failure(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pictures" / "red").mkdir(parents=True)
    (tmp_path / "pictures" / "red" / "0.png").write_bytes(b"no picture")
    assert evaluate(server, tmp_path / "pictures", tmp_path) == 1
    assert "answered for no picture" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        ("nowhere", 2, "neither a folder"),
        ("x" * 300, 2, "neither a folder"),
        (f"{FEEDBACK}-missing", 1, "Could not fetch"),
        (".", 1, "neither Parquet"),
    ],
)
def test_data_that_cannot_be_used_is_a_sentence(  # noqa: PLR0913, PLR0917
    data: str, code: int, words: str, server: Server, api: HfApi, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert evaluate(server, data, tmp_path) == code
    assert words in capsys.readouterr().err


def test_the_interval_is_the_textbooks() -> None:
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)


def test_pictures_in_deeper_folders_have_the_label_of_the_first(server: Server, tmp_path: Path) -> None:
    data = folder_of(tmp_path / "pictures", {"red": ["red"], "green": ["green"]})
    folder_of(data / "red", {"2021": ["red"], "2022": ["red"]})
    assert evaluate(server, data, tmp_path) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert sorted(each["true_label"] for each in results) == ["green", "red", "red", "red"]


def test_of_a_folder_of_splits_the_test_split_is_sent(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder_of(tmp_path / "pictures" / "train", {"red": ["red"], "green": ["green"]})
    data = folder_of(tmp_path / "pictures" / "test", {"red": ["red"], "green": ["green"]}).parent
    assert evaluate(server, data, tmp_path) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert [each["true_label"] for each in results] == ["green", "red"]
    assert "2 files are left out: in the split `train`, of which only `test` is read (2)" in caplog.text
