"""What the benchmarks are made of: the client that sends, the comparison with the reference, the file of results."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from benchmarks.__main__ import main
from benchmarks.harness.load import load
from benchmarks.harness.pictures import USUAL_BYTES, USUAL_SIZE, photos, usual
from benchmarks.harness.report import Section, ratios, spread, table, write
from catdog.images.decode import decode_image
from tests.toy import encoded, picture, toy_model
from tests.web.conftest import Server, running


@pytest.fixture(scope="module")
def toy_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("bench")
    with running(folder, toy_model(folder / "toy"), rate_limit="100000/minute") as server:
        yield server


def test_the_client_counts_answers_and_errors(toy_server: Server) -> None:
    port = urlsplit(toy_server.url).port or 0
    good = asyncio.run(load(port, 2, 0.2, [encoded(picture("red")), encoded(picture("blue"))]))
    assert not good.errors
    assert len(good.latencies_ms) >= 2
    assert {number for number, _ in good.answers} == {0, 1}
    assert '"label": "red"' in dict(good.answers)[0]
    bad = asyncio.run(load(port, 1, 0.1, [b"no picture"]))
    assert bad.errors == len(bad.latencies_ms) > 0


def test_a_server_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ConnectionError):
        asyncio.run(load(9, 1, 0.1, [b""]))


def test_pictures_are_as_large_as_they_are_said_to_be() -> None:
    data = usual(photos(1, Path("nowhere"))[0].image)
    assert decode_image(data).size == USUAL_SIZE
    assert USUAL_BYTES / 2 < len(data) <= USUAL_BYTES


def test_a_section_takes_the_place_of_its_predecessor(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    path.write_text("# Results\n\nWhat a person wrote.\n")
    for name, line in (("one", "old"), ("two", "other"), ("one", r"new \1")):
        write(Section(name, name.title(), [line]), path)
    text = path.read_text()
    assert "old" not in text
    assert text.index("a person wrote") < text.index(r"new \1") < text.index("other")


def test_ratios_are_taken_round_by_round() -> None:
    assert spread(ratios([1.0, 2.0, 4.0], [2.0, 2.0, 12.0])) == "2.0 (1.0-3.0)"
    assert table(["a", "b"], [["1", "2"]]) == ["| a | b |", "| --- | --- |", "| 1 | 2 |"]


def test_an_unknown_benchmark_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["nothing"])
    assert stopped.value.code == 2
    assert "no such benchmark: nothing" in capsys.readouterr().err


def test_another_label_than_the_references_is_a_failure() -> None:
    serving = pytest.importorskip("benchmarks.speed.serving", reason="needs the packages of the peers")
    right = [{"label": "cat", "probabilities": {"cat": 0.9, "dog": 0.1}}]
    same = {(0, '{"label": "cat", "probabilities": {"cat": 0.899, "dog": 0.101}}')}
    other = {(0, '{"label": "dog", "probabilities": {"cat": 0.4, "dog": 0.6}}')}
    drifted = {(0, '{"label": "cat", "probabilities": {"cat": 0.7, "dog": 0.3}}')}
    assert not serving.wrong(same, right, 0.01)
    assert serving.wrong(other, right, 0.01) == ["picture 0 is dog, not cat"]
    assert len(serving.wrong(drifted, right, 0.01)) == 1
    assert len(serving.wrong({(0, "")}, right, 0.01)) == 1
