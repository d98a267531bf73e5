"""Tries to lose feedback: `python -m benchmarks.endurance.torture --faults 1000 --rows 10000`.

Two processes write rows into one journal and send them to a hub on this machine, while one fault after the other
happens: SIGKILL at a random moment, a full disk, an I/O error, every fault of the hub, the hub itself killed. In
between, people take rows back. Whoever writes tells what was acknowledged through a pipe. After each block of faults
the journal is drained, and every row that was acknowledged must be on the hub exactly once, with the picture that was
sent; none that was taken back may be there. At the end the whole app is killed, `--app` times.
"""

import argparse
import contextlib
import hashlib
import io
import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import httpx2
import pyarrow.parquet as pq
import uuid_utils
from huggingface_hub import HfApi
from PIL import Image

from catdog.errors import CatdogError, FeedbackError
from catdog.hub.client import HubClient
from devhub.faults import Fault, Faults
from devhub.server import LOOPBACK, listen, make_server, open_hub
from devhub.tokens import load_tokens
from feedback.hub.dataset import FeedbackDataset
from feedback.hub.sync import Syncer
from feedback.journal.journal import Journal
from feedback.journal.outbox import Outbox
from feedback.row import FeedbackRow, Source

ROOT = Path(__file__).resolve().parents[2]
FAULTS_A_BLOCK = 50
ROWS_AN_EPISODE = 40
EPISODE_S = 0.4
TAKEN_BACK = 0.01
UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
HUB_FAULTS = {
    **{f"hub {status}": Fault(status=status) for status in (401, 403, 404, 409, 412, 500, 504)},
    "hub 429 with Retry-After": Fault(status=429, headers={"Retry-After": "0"}),
    "hub 500 but committed": Fault(status=500, after_commit=True),
    "hub 504 but committed": Fault(status=504, after_commit=True),
    "hub slow": Fault(delay_s=0.3),
    "hub cuts the body": Fault(cut_body_after=10),
}
HUB_PATHS = ("/commit/", "/commit/", "/preupload/", "/api/datasets/", "/super-squash")
LOCAL_FAULTS = ("SIGKILL", "SIGTERM", "full disk", "I/O error", "hub killed")


@dataclass
class Told:
    """What the writers said."""

    kept: dict[str, str] = field(default_factory=dict)
    """From the id of an acknowledged row to the hash of its picture."""
    leaving: set[str] = field(default_factory=set)
    """Rows that somebody began to take back: nobody knows."""
    gone: set[str] = field(default_factory=set)
    """Rows that are taken back."""
    refused: int = 0

    def hear(self, line: str) -> None:
        """Take one line of a writer."""
        kind, *words = line.split()
        if kind == "kept":
            self.kept[words[0]] = words[1]
        elif kind == "refused":
            self.refused += 1
        else:
            (self.leaving if kind == "leaving" else self.gone).add(words[0])


class HubProcess:
    """A hub that can be killed and comes back at the same address."""

    def __init__(self, root: Path) -> None:
        self._root = root
        with socket.create_server((LOOPBACK, 0)) as free:
            self._port = free.getsockname()[1]
        self.url = f"http://{LOOPBACK}:{self._port}"
        self._pid = 0
        root.mkdir()
        self.token = load_tokens(root)[0][0].token

    def start(self) -> None:
        """Serve; returns when it answers."""
        self._pid = fork(self._serve)
        poll(lambda: httpx2.get(self.url + "/_faults", trust_env=False), "the hub")

    def kill(self) -> None:
        """End it without warning."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)

    def fail(self, fault: Fault, path: str) -> None:
        """Queue a fault."""
        rule = {"match": {"path": path}, "fault": json.loads(fault.model_dump_json()), "times": 2}
        headers = {"Authorization": f"Bearer {self.token}"}
        httpx2.post(f"{self.url}/_faults", json=rule, headers=headers, trust_env=False).raise_for_status()

    def forgive(self) -> None:
        """Forget the faults that have not happened yet."""
        headers = {"Authorization": f"Bearer {self.token}"}
        httpx2.delete(f"{self.url}/_faults", headers=headers, trust_env=False).raise_for_status()

    def rows(self, repo_id: str) -> list[tuple[str, str]]:
        """Id and hash of the picture of every row of every shard."""
        api = HfApi(endpoint=self.url, token=self.token)
        found = []
        for path in api.list_repo_files(repo_id, repo_type="dataset"):
            if path.startswith("data/"):
                url = f"{self.url}/datasets/{repo_id}/resolve/main/{path}"
                headers = {"Authorization": f"Bearer {self.token}"}
                content = httpx2.get(url, headers=headers, trust_env=False, follow_redirects=True).content
                records = pq.read_table(io.BytesIO(content)).to_pylist()
                for row in records:
                    sha = hashlib.sha256(row["image"]["bytes"]).hexdigest()
                    found.append((row["id"], sha if sha == row["image_sha256"] else "damaged"))
        return found

    def _serve(self) -> int:
        with listen(LOOPBACK, self._port) as listener, open_hub(self._root) as (hub, _):
            make_server(hub, Faults()).run(sockets=[listener])
        return 0


@dataclass(frozen=True)
class Stage:
    """Where a block of faults happens."""

    folder: Path
    hub: HubProcess
    repo_id: str


def poll(attempt: Callable[[], object], what: str, deadline_s: float = 60.0) -> None:
    """Repeat until it works."""
    end = time.monotonic() + deadline_s
    while True:
        try:
            attempt()
        except (httpx2.HTTPError, CatdogError, OSError):
            if time.monotonic() > end:
                raise TimeoutError(f"waited {deadline_s:.0f} s for {what}") from None
            time.sleep(0.02)
        else:
            return


def fork(work: Callable[[], int]) -> int:
    """Run `work` in a process of its own, without the seconds that a new interpreter takes."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        code = work()
    finally:
        sys.stderr.flush()
        os._exit(code)


def make_row(rng: random.Random) -> FeedbackRow:
    """A row with a picture of random bytes: nothing here decodes it."""
    picture = rng.randbytes(rng.randrange(200, 3000))
    return FeedbackRow(
        id=str(uuid_utils.uuid7()),
        request_id=rng.randbytes(8).hex(),
        created_at=datetime.now(UTC),
        image=picture,
        image_sha256=hashlib.sha256(picture).hexdigest(),
        image_phash=rng.randbytes(32).hex(),
        predicted_label="cat",
        verdict="cat",
        labels=("cat", "dog"),
        probabilities=(0.75, 0.25),
        corrected_label="dog",
        model_id="someone/pets",
        model_revision="local-0123456789ab",
        source=Source.API,
        client=rng.randbytes(8).hex(),
    )


def make_syncer(journal: Journal, stage: Stage) -> Syncer:
    return Syncer(
        Outbox(journal, max_rows=25),
        FeedbackDataset(HubClient(stage.hub.url, stage.hub.token), stage.repo_id),
        data_dir=stage.folder,
        every_s=0.05,
        retain=timedelta(seconds=1),
        commits_per_hour=1_000_000_000,
        first_backoff_s=0.02,
    )


def write(stage: Stage, pipe: int, fault: str, seed: float) -> int:
    """Append rows and send them, and say what is acknowledged, until killed or done."""
    rng = random.Random(seed)
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    with Journal.open(stage.folder) as journal:
        syncer = make_syncer(journal, stage)
        syncer.start()
        spoil_at = rng.randrange(ROWS_AN_EPISODE)
        for number in range(ROWS_AN_EPISODE):
            if number == spoil_at:
                spoil(fault, stage.folder)
            if stopped:
                break
            append(journal, pipe, rng)
        end = time.monotonic() + EPISODE_S
        while not stopped and time.monotonic() < end:
            time.sleep(0.01)
        resource.setrlimit(resource.RLIMIT_FSIZE, UNLIMITED)
        syncer.stop(grace_s=1.0)
    return 0


def append(journal: Journal, pipe: int, rng: random.Random) -> None:
    row = make_row(rng)
    try:
        saved = journal.append(row)
        os.write(pipe, f"kept {saved.id} {row.image_sha256}\n".encode())
        if saved.receipt and rng.random() < TAKEN_BACK:
            os.write(pipe, f"leaving {saved.id}\n".encode())
            if journal.delete(saved.receipt):
                os.write(pipe, f"gone {saved.id}\n".encode())
    except FeedbackError:
        os.write(pipe, b"refused\n")
        resource.setrlimit(resource.RLIMIT_FSIZE, UNLIMITED)  # somebody made room on the disk


def spoil(fault: str, folder: Path) -> None:
    """Let the disk fail this process."""
    log = folder / "journal.sqlite3-wal"
    if fault == "full disk":
        resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + 6000, resource.RLIM_INFINITY))
    if fault == "I/O error":
        broken = os.pipe()[1]  # a file that can neither be read nor written at a position
        for each in list(Path("/proc/self/fd").iterdir()):
            with contextlib.suppress(OSError):
                if each.readlink() == log:
                    os.dup2(broken, int(each.name))


def episode(stage: Stage, fault: str, told: Told, rng: random.Random) -> None:
    """Two writers, one fault."""
    if fault in HUB_FAULTS:
        stage.hub.fail(HUB_FAULTS[fault], rng.choice(HUB_PATHS))
    read, written = os.pipe()
    pids = [fork(partial(write, stage, written, fault, rng.random())) for _ in range(2)]
    os.close(written)
    time.sleep(rng.uniform(0.0, EPISODE_S))
    if fault == "hub killed":
        stage.hub.kill()
        time.sleep(rng.uniform(0.0, 0.1))
        stage.hub.start()
    if fault in ("SIGKILL", "SIGTERM") or fault in HUB_FAULTS:
        for pid in pids:
            os.kill(pid, signal.SIGTERM if fault == "SIGTERM" else signal.SIGKILL)
    with os.fdopen(read, "rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                told.hear(line.decode())
    for pid in pids:
        os.waitpid(pid, 0)


def drain(stage: Stage) -> int:
    """Send what is left, as after a restart on a good day."""
    with Journal.open(stage.folder) as journal:
        syncer = make_syncer(journal, stage)
        poll(syncer.sync, "the last round")
        pending = journal.pending()
    return 0 if (pending.rows, pending.damaged) == (0, 0) else 1


def judge(told: Told, rows: list[tuple[str, str]]) -> list[str]:
    """What is wrong."""
    there, times = dict(rows), Counter(row_id for row_id, _ in rows)
    wanted = {row_id: sha for row_id, sha in told.kept.items() if row_id not in told.leaving}
    return [
        *(f"lost: {row_id}" for row_id in wanted.keys() - there.keys()),
        *(f"{count} times: {row_id}" for row_id, count in times.items() if count > 1),
        *(f"another picture: {row_id}" for row_id, sha in wanted.items() if sha and there.get(row_id, sha) != sha),
        *(f"damaged: {row_id}" for row_id, sha in rows if sha == "damaged"),
        *(f"taken back and still there: {row_id}" for row_id in told.gone & there.keys()),
    ]


def block(root: Path, number: int, faults: list[str], rng: random.Random) -> tuple[Told, list[str], int]:
    """Some faults on one journal and one repository, and then the verdict."""
    told, hub = Told(), HubProcess(root / f"hub-{number}")
    stage = Stage(root / f"data-{number}", hub, f"me/feedback-{number}")
    hub.start()
    try:
        for fault in faults:
            episode(stage, fault, told, rng)
        hub.forgive()
        _, status = os.waitpid(fork(partial(drain, stage)), 0)
        problems = ["rows are left in the journal"] if status else []
        rows = hub.rows(stage.repo_id)
        return told, problems + judge(told, rows), len(rows)
    finally:
        hub.kill()


def app_block(root: Path, kills: int, rng: random.Random) -> tuple[Told, list[str]]:
    """Kill the whole app at random moments while corrections come by HTTP; then the verdict."""
    told, hub = Told(), HubProcess(root / "hub")
    stage = Stage(root / "data", hub, "me/feedback")
    hub.start()
    try:
        for _ in range(kills):
            correct_until_killed(stage, told, rng)
        _, status = os.waitpid(fork(partial(drain, stage)), 0)
        return told, ["rows are left in the journal"] if status else judge(told, hub.rows(stage.repo_id))
    finally:
        hub.kill()


def correct_until_killed(stage: Stage, told: Told, rng: random.Random) -> None:
    with socket.create_server((LOOPBACK, 0)) as free:
        port = free.getsockname()[1]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("CATDOG_", "HF_"))}
    env |= {"CATDOG_HOST": LOOPBACK, "CATDOG_PORT": str(port), "CATDOG_DATA_DIR": str(stage.folder)}
    env |= {"CATDOG_FEEDBACK_REPO": stage.repo_id, "CATDOG_SYNC_SECONDS": "0.3", "CATDOG_LOG_LEVEL": "ERROR"}
    env |= {"HF_ENDPOINT": stage.hub.url, "HF_TOKEN": stage.hub.token}
    env |= {"CATDOG_FEEDBACK_LIMIT": "100000/minute", "CATDOG_FEEDBACK_PER_DAY": "100000"}
    app = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=env)
    with httpx2.Client(base_url=f"http://{LOOPBACK}:{port}", trust_env=False, timeout=30) as client:
        poll(lambda: app.poll() is not None or client.get("/health").raise_for_status(), "the app", deadline_s=300)
        if app.poll() is not None:
            raise SystemExit("The app did not start.")
        killer = threading.Timer(rng.uniform(0.2, 3.0), app.kill)
        killer.start()
        with contextlib.suppress(httpx2.HTTPError):
            while True:
                correct_one(client, told, rng)
        killer.join()
    app.wait()


def correct_one(client: httpx2.Client, told: Told, rng: random.Random) -> None:
    """Send a picture, and say that it is something else."""
    picture = io.BytesIO()
    Image.frombytes("RGB", (32, 32), rng.randbytes(32 * 32 * 3)).save(picture, "PNG")
    answer = client.post("/predict", files={"file": picture.getvalue()}).raise_for_status().json()
    label = next(label for label in answer["probabilities"] if label != answer["label"])
    kept = client.post("/feedback", json={"request_id": answer["request_id"], "label": label}).raise_for_status().json()
    told.kept[kept["id"]] = ""  # the server makes the picture that it keeps; its row holds the hash


def plan(rng: random.Random) -> Iterator[str]:
    """Faults in random order, each kind equally often but SIGKILL, which is as frequent as all the hub's together."""
    kinds = [*HUB_FAULTS, *LOCAL_FAULTS, *["SIGKILL"] * (len(HUB_FAULTS) - 1)]
    while True:
        yield from rng.sample(kinds, len(kinds))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faults", type=int, default=1000, help="how many at least (default: %(default)s)")
    parser.add_argument("--rows", type=int, default=10_000, help="how many at least (default: %(default)s)")
    parser.add_argument(
        "--app", type=int, default=20, metavar="N", help="kills of the whole app (default: %(default)s)"
    )
    parser.add_argument(
        "--power-cuts",
        type=int,
        default=40,
        metavar="N",
        help="see benchmarks.endurance.power_cut (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, faults, kept, on_hub, gone, refused = random.Random(options.seed), Counter[str](), 0, 0, 0, 0
    planned, started, number = plan(rng), time.monotonic(), 0
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    while faults.total() < options.faults or kept < options.rows:
        count = max(1, min(FAULTS_A_BLOCK, options.faults - faults.total()))
        some = [next(planned) for _ in range(count)]
        with tempfile.TemporaryDirectory(prefix="torture-") as root:
            told, problems, found = block(Path(root), number, some, rng)
        number += 1
        faults.update(some)
        kept, on_hub, gone = kept + len(told.kept), on_hub + found, gone + len(told.gone)
        refused += told.refused
        print(f"{faults.total()} faults, {kept} rows acknowledged, {on_hub} on the hub, {gone} taken back", flush=True)
        if problems:
            print(*problems[:20], f"{len(problems)} problems", sep="\n")
            return 1
    print(*(f"{count:5} {fault}" for fault, count in sorted(faults.items())), sep="\n")
    print(f"{refused} rows were refused with an error; {time.monotonic() - started:.0f} s")
    print(f"{kept} rows acknowledged over {faults.total()} faults: none lost, none twice, every picture as sent;")
    print(f"{gone} taken back, none of them left")
    failed = torture_app(options.app, rng) if options.app else 0
    return failed or cut_power_after_all(options)


def cut_power_after_all(options: argparse.Namespace) -> int:
    if not options.power_cuts:
        return 0
    from benchmarks.endurance.power_cut import main as cut_power  # noqa: PLC0415 - it imports this module

    return cut_power(["--rows", str(options.rows), "--cuts", str(options.power_cuts)])


def torture_app(kills: int, rng: random.Random) -> int:
    with tempfile.TemporaryDirectory(prefix="torture-") as root:
        told, problems = app_block(Path(root), kills, rng)
    print(f"{len(told.kept)} rows acknowledged over {kills} kills of the whole app: {len(problems)} problems")
    print(*problems[:20], sep="\n")
    return int(bool(problems))


if __name__ == "__main__":
    raise SystemExit(main())
