"""What the service promises beyond single answers: models that change under it, and too much work."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from catdog.errors import BusyError, ModelError, RateLimitedError
from catdog.hub.models import LoadedModel
from catdog.model.model import Model
from catdog.settings import Settings
from feedback.journal.journal import Journal
from feedback.keys import KEYS_FOLDER
from feedback.row import Source
from tests.toy import encoded, picture, toy_model
from web.app import create_service
from web.metrics.metrics import Metrics
from web.service.service import Service
from web.service.workers import Workers

RED = encoded(picture("red"))


@pytest.fixture
def service(tmp_path: Path, toy_folder: Path) -> Iterator[Service]:
    with Journal.open(tmp_path / "data") as journal:
        loaded = LoadedModel(Model.load(toy_folder), "folder")
        yield create_service(Settings(data_dir=tmp_path / "data"), loaded, journal, Metrics())


def test_without_a_model_every_answer_is_that_there_is_none(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal:
        service = create_service(Settings(data_dir=tmp_path), None, journal, Metrics())
        with pytest.raises(ModelError, match="No model is ready yet"):
            asyncio.run(service.classify(lambda: RED, Source.API))
        with pytest.raises(ModelError):
            _ = service.live


def test_a_request_in_flight_finishes_on_the_model_that_it_began_with(service: Service, tmp_path: Path) -> None:
    other = LoadedModel(Model.load(toy_model(tmp_path / "other", ["cherry", "leaf"])), "hub")

    def read() -> bytes:
        service.swap(other)  # while the request is on its way
        return RED

    first = asyncio.run(service.classify(read, Source.API))
    second = asyncio.run(service.classify(lambda: RED, Source.API))
    assert first.prediction.label == "red"
    assert second.prediction.label == "cherry"


def test_a_correction_is_judged_by_the_labels_of_the_model_that_answered(service: Service, tmp_path: Path) -> None:
    answer = asyncio.run(service.classify(lambda: RED, Source.API))
    service.swap(LoadedModel(Model.load(toy_model(tmp_path / "other", ["cherry", "leaf"])), "hub"))
    correction = asyncio.run(service.correct(answer.request_id, "blue", client="1.2.3.4"))
    assert correction.created


def test_expired_keys_of_client_hashes_are_destroyed_at_the_start(tmp_path: Path) -> None:
    old = tmp_path / KEYS_FOLDER / "2020-01.key"
    old.parent.mkdir()
    old.write_bytes(bytes(32))
    with Journal.open(tmp_path) as journal:
        create_service(Settings(data_dir=tmp_path), None, journal, Metrics())
    assert not old.exists()


def test_beyond_a_bounded_queue_work_is_refused() -> None:
    release = threading.Event()

    async def flood() -> list[object]:
        workers = Workers(threads=1, max_waiting=2)
        running = [asyncio.create_task(workers.run(release.wait)) for _ in range(3)]
        await asyncio.sleep(0)  # let each begin
        refused = await asyncio.gather(workers.run(release.wait), return_exceptions=True)
        release.set()
        return [*refused, *await asyncio.gather(*running)]

    refusal, *done = asyncio.run(flood())
    assert isinstance(refusal, BusyError)
    assert done == [True, True, True]


def test_the_queue_is_open_again_when_the_work_is_done() -> None:
    async def twice() -> list[int]:
        workers = Workers(threads=1, max_waiting=1)
        return [await workers.run(lambda: 1), await workers.run(lambda: 2)]

    assert asyncio.run(twice()) == [1, 2]


def test_who_leaves_while_waiting_frees_a_place_in_the_queue() -> None:
    release = threading.Event()

    async def leave() -> bool:
        workers = Workers(threads=1, max_waiting=1)
        working = asyncio.create_task(workers.run(release.wait))
        waiting = asyncio.create_task(workers.run(release.wait))
        await asyncio.sleep(0)  # let each begin
        waiting.cancel()
        await asyncio.wait((waiting,))
        next_one = asyncio.create_task(workers.run(lambda: True))
        await asyncio.sleep(0)
        release.set()
        return await next_one and await working

    assert asyncio.run(leave())


def test_a_thread_takes_the_next_work_while_the_event_loop_is_busy() -> None:
    second_is_done = threading.Event()

    async def keep_the_loop_busy() -> bool:
        workers = Workers(threads=1, max_waiting=1)
        works = [asyncio.create_task(workers.run(work)) for work in (lambda: None, second_is_done.set)]
        await asyncio.sleep(0)  # let each begin
        taken = second_is_done.wait(60)
        await asyncio.gather(*works)
        return taken

    assert asyncio.run(keep_the_loop_busy())


def test_who_leaves_while_the_work_goes_on_waits_for_its_end() -> None:
    begun, release, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        release.wait()
        ended.set()

    async def leave() -> bool:
        working = asyncio.create_task(Workers(threads=1, max_waiting=0).run(work))
        await asyncio.sleep(0)
        assert begun.wait(60)
        working.cancel()
        await asyncio.wait((working,), timeout=0.05)
        still_there = not working.done()
        release.set()
        await asyncio.wait((working,))
        return still_there and ended.is_set() and working.cancelled()

    assert asyncio.run(leave())


def test_a_client_has_a_share_of_the_day_that_survives_a_restart(tmp_path: Path, toy_folder: Path) -> None:
    settings = Settings(data_dir=tmp_path, feedback_per_day=1)
    loaded = LoadedModel(Model.load(toy_folder), "folder")
    with Journal.open(tmp_path) as journal:
        for client, fits in (("1.2.3.4", True), ("1.2.3.4", False), ("5.6.7.8", True)):
            service = create_service(settings, loaded, journal, Metrics())
            answer = asyncio.run(service.classify(lambda: RED, Source.API))
            correcting = service.correct(answer.request_id, "blue", client=client)
            if fits:
                assert asyncio.run(correcting).created
            else:
                with pytest.raises(RateLimitedError, match="NOT saved"):
                    asyncio.run(correcting)
        assert journal.pending().rows == 2
