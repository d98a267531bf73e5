"""The story: a model that lacks a kind of picture, people who correct it, a better one; and a second round of lies."""

import json
import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import httpx

from catdog.errors import CatdogError, SettingsError
from demo.narrator import Narrator
from demo.people import Program, Rates, Visitor
from demo.pictures import Material, Photo, write_folder
from demo.processes import Server, Shell, wait_for

MODEL = "me/loop"
FEEDBACK = "me/loop-feedback"
_LEAST_CORRECTIONS = 60
_CONFIRMED = 3
"""Of the right answers every third is confirmed."""
_BY_BROWSER = 24
_LEAST_GAIN = 0.01
_REFUSED = CatdogError.exit_code + 2
_RELOAD_S = 2
_SYNC_S = 5
_COMMITS_PER_HOUR = 1000
"""A story has no time for twelve."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the story is made of."""

    material: Material
    fit: tuple[str, ...]
    """Further arguments of `train fit`; none if there is a champion."""
    retrain: tuple[str, ...]
    """Further arguments of `train retrain`."""
    work: Path
    """An empty folder for everything."""
    browser: bool
    champion: Path | None = None
    """A finished model folder; None trains a small one."""
    data: str = ""
    """What the champion was trained with."""
    threads: int | None = None
    """Of training; None leaves the choice to it."""


@dataclass(frozen=True, slots=True)
class Before:
    """What the champion got wrong, and how often it is right."""

    wrong: tuple[Photo, ...]
    in_browser: tuple[Photo, ...]
    """Those of them that the browser showed."""
    rows: int
    new_kind: Rates
    """On pictures of the new kind that nobody sends."""
    ordinary: Rates


class Story:
    """One run. Every method is a chapter; they come in the order in which they are written."""

    def __init__(self, plan: Plan, narrator: Narrator) -> None:
        self._plan = plan
        self._tell = narrator
        self._data = plan.data or str(plan.work / "data")
        (plan.work / "logs").mkdir(parents=True)

    def run(self) -> None:
        """Tell it all.

        Raises:
            BrokenClaimError: something did not come out as it should.
        """
        champion = self._train_champion()
        with ExitStack() as stack:
            shell = self._start_hub(stack)
            self._publish(shell, champion)
            app = self._start_app(shell, stack)
            program = Program(app.url)
            stack.callback(program.close)
            visitor = self._visit(app, stack)
            before = self._correct(program, visitor)
            self._sync(program, shell, before.rows)
            self._review(shell, before.rows, "first")
            commit = self._retrain(shell)
            self._reload(app, program, commit)
            self._compare(program, visitor, before)
            self._lie(program, shell)
            self._refuse(shell, program, commit)
            self._tell.step("Everything is stopped")
        self._tell.end()

    def _visit(self, app: Server, stack: ExitStack) -> Visitor | None:
        """Somebody with a browser; None where there is none."""
        if not self._plan.browser:
            return None
        try:
            return stack.enter_context(Visitor.opened(app.url))
        except SettingsError as error:
            self._tell.tell(f"{error} The story goes on by the API alone.")
            return None

    def _train_champion(self) -> Path:
        material, out = self._plan.material, self._plan.work / "champion"
        if self._plan.champion is not None:
            self._tell.step(f"The champion is the embedded model; it is weak at {material.kind}")
            self._tell_score(self._plan.champion)
            return self._plan.champion
        self._tell.step(f"A small champion that has never seen {material.kind}")
        self._tell.tell(f"{len(material.data)} pictures, labels {', '.join(material.labels)}; none is of that kind.")
        write_folder(Path(self._data), material.data)
        self._shell({}).run("train", "fit", "--data", self._data, "--out", out, *self._plan.fit)
        self._tell_score(out)
        return out

    def _tell_score(self, model: Path) -> None:
        test = json.loads((model / "metadata.json").read_text())["metrics"]["test"]
        self._tell.tell(f"accuracy on its {test['n']} test pictures: {test['accuracy']:.1%}")

    def _start_hub(self, stack: ExitStack) -> Shell:
        self._tell.step("A hub on this machine, for the real client")
        root = self._plan.work / "hub"
        hub = stack.enter_context(
            self._shell({}).serving(
                "devhub", "-m", "devhub", "--root", str(root), "--port", "0", ready=r"HF_ENDPOINT=(\S+)[^\n]*\n"
            )
        )
        token = json.loads((root / "tokens.json").read_text())[0]["token"]
        self._tell.tell(f"it answers at {hub.url}; from here on every command has its address and token")
        return self._shell(
            {
                "HF_ENDPOINT": hub.url,
                "HF_TOKEN": token,
                "HF_HOME": str(self._plan.work / "cache"),
                "HF_HUB_DISABLE_XET": "1",
            }
        )

    def _publish(self, shell: Shell, champion: Path) -> None:
        self._tell.step("The champion is published")
        self._tell.tell(shell.run("train", "publish", champion, "--repo", MODEL))

    def _start_app(self, shell: Shell, stack: ExitStack) -> Server:
        self._tell.step("The app serves it from the hub")
        app = stack.enter_context(
            shell.serving(
                "app", "app.py", ready=r"Ready on (http://\S+)",
                CATDOG_HOST="127.0.0.1", CATDOG_PORT="0", CATDOG_MODEL=MODEL, CATDOG_FEEDBACK_REPO=FEEDBACK,
                CATDOG_DATA_DIR=str(self._plan.work / "app"), CATDOG_RELOAD_SECONDS=str(_RELOAD_S),
                CATDOG_SYNC_SECONDS=str(_SYNC_S), CATDOG_COMMITS_PER_HOUR=str(_COMMITS_PER_HOUR),
                CATDOG_RATE_LIMIT="6000/minute", CATDOG_FEEDBACK_LIMIT="6000/minute", CATDOG_FEEDBACK_PER_DAY="6000",
            )
        )  # fmt: skip
        self._tell.tell(f"{app.url}; the limits are raised because all its visitors have one address here")
        return app

    def _correct(self, program: Program, visitor: Visitor | None) -> Before:
        material = self._plan.material
        self._tell.step(f"People show it {material.kind}, and correct it")
        new_kind, ordinary = program.rates(material.fresh), program.rates(material.ordinary)
        for what, photos, rates in (("ordinary", material.ordinary, ordinary), ("such", material.fresh, new_kind)):
            self._tell.tell(
                f"of {len(photos)} new {what} pictures {rates.label:.1%} have the right label, {rates.verdict:.1%} are "
                "called so on the page"
            )
        self._tell.claim(
            "the champion is worse at the kind it has never seen", held=new_kind.label < ordinary.label - _LEAST_GAIN
        )
        browsed = material.stream[:_BY_BROWSER] if visitor else ()
        in_browser = self._browse(visitor, browsed) if visitor else ()
        wrong, confirmed = self._call(program, material.stream[len(browsed) :])
        rows = len(browsed) + len(wrong) + confirmed
        corrections = len(in_browser) + len(wrong)
        self._tell.tell(f"by the API: {len(wrong)} wrong answers corrected, {confirmed} right ones confirmed")
        self._tell.claim(
            f"{corrections} corrections, at least {_LEAST_CORRECTIONS}", held=corrections >= _LEAST_CORRECTIONS
        )
        return Before((*in_browser, *wrong), in_browser, rows, new_kind, ordinary)

    def _browse(self, visitor: Visitor, photos: Sequence[Photo]) -> tuple[Photo, ...]:
        """In the page; returns what it got wrong. Where it is not sure it is not wrong, and asks by itself."""
        wrong = []
        for photo in photos:
            verdict = visitor.classify(photo)
            visitor.say(photo.label)
            said = {photo.label.capitalize(): "Right", "Not sure": "told"}.get(verdict, "Wrong label")
            wrong += [photo] if said == "Wrong label" else []
            self._tell.tell(f"page: {photo.name} shows {photo.label}, it says {verdict!r}: {said}")
        return tuple(wrong)

    def _call(self, program: Program, photos: Sequence[Photo]) -> tuple[tuple[Photo, ...], int]:
        """By the API; returns what it got wrong, and how many right answers were confirmed."""
        wrong, turns, confirmed = [], cycle([True] + [False] * (_CONFIRMED - 1)), 0
        for photo in photos:
            answer = program.classify(photo)
            is_right = answer["verdict"] == photo.label
            if not is_right or next(turns):
                program.say(answer["request_id"], photo.label)
                confirmed += is_right
            wrong += [] if is_right else [photo]
        return tuple(wrong), confirmed

    def _sync(self, program: Program, shell: Shell, rows: int) -> None:
        self._tell.step("The rows go to the hub")
        self._wait_until_sent(program)
        folder = self._plan.work / "stats"
        self._tell.tell(f"{rows} answers were given; what a machine with an empty folder sees:")
        self._tell.tell(shell.run("feedback", "stats", "--data-dir", folder, CATDOG_FEEDBACK_REPO=FEEDBACK))

    def _wait_until_sent(self, program: Program) -> None:
        self._tell.tell(f"the app sends them by itself, every {_SYNC_S} s here")
        wait_for(lambda: not program.health()["feedback"]["pending"], "the rows to be on the hub")
        self._tell.claim("/health says that no row waits", held=not program.health()["feedback"]["pending"])

    def _review(self, shell: Shell, expected: int, name: str, *, look: bool = True) -> None:
        """Accept all that waits, from an empty folder."""
        if look:
            self._tell.step("A maintainer reviews them, on a machine with an empty folder")
        folder = self._plan.work / f"maintainer-{name}"
        review = ("feedback", "review", "--data-dir", folder)
        entries = json.loads(shell.run(*review, "--format", "json", CATDOG_FEEDBACK_REPO=FEEDBACK))
        self._tell.claim(f"{len(entries)} rows wait for a decision", held=len(entries) == expected)
        ids = [entry["id"] for entry in entries]
        shell.run(*review, "--by", "maintainer", "--accept", *ids, CATDOG_FEEDBACK_REPO=FEEDBACK)
        shell.run("feedback", "push", "--data-dir", folder, CATDOG_FEEDBACK_REPO=FEEDBACK)

    def _retrain(self, shell: Shell) -> str:
        self._tell.step("A challenger is trained, and the gate compares it with the champion")
        report = shell.run(*self._retraining("challenger"))
        self._tell.tell(report)
        published = re.search(r"published as (\S+), commit (\w+)", report)
        self._tell.claim(
            "the gate accepted it, and it is published as v2", held=bool(published and published[1] == "v2")
        )
        assert published
        return published[2]

    def _retraining(self, out: str) -> tuple[object, ...]:
        return (
            "train", "retrain", "--data", self._data, "--feedback", FEEDBACK, "--base", MODEL, "--publish", MODEL,
            "--out", self._plan.work / out, *self._plan.retrain,
        )  # fmt: skip

    def _reload(self, app: Server, program: Program, commit: str) -> None:
        self._tell.step("The app follows, without a restart")
        wait_for(lambda: program.health()["model_revision"] == commit, "the new revision to be live")
        self._tell.claim(f"the same process, {app.process.pid}, now answers with revision {commit[:12]}", held=app.runs)

    def _compare(self, program: Program, visitor: Visitor | None, before: Before) -> None:
        material = self._plan.material
        self._tell.step("What it has learned")
        right = [photo for photo in before.wrong if program.classify(photo)["verdict"] == photo.label]
        self._tell.tell(
            f"of the {len(before.wrong)} corrected pictures, all of which it got wrong, {len(right)} are right now"
        )
        self._tell.claim("a picture it got wrong is now right", held=bool(right))
        if visitor:
            self._look_again(visitor, before.in_browser)
        new_kind, ordinary = program.rates(material.fresh), program.rates(material.ordinary)
        for what, then, now in (
            ("ordinary pictures", before.ordinary, ordinary),
            (material.kind, before.new_kind, new_kind),
        ):
            self._tell.tell(
                f"{what}, that nobody sent: right label {then.label:.1%} -> {now.label:.1%}, "
                f"named on the page {then.verdict:.1%} -> {now.verdict:.1%}"
            )
        self._tell.claim(
            "it is better at that kind, by a point at least",
            held=min(new_kind.label - before.new_kind.label, new_kind.verdict - before.new_kind.verdict) >= _LEAST_GAIN,
        )

    def _look_again(self, visitor: Visitor, photos: Sequence[Photo]) -> None:
        """The page that was open all the time, with the pictures it got wrong."""
        verdicts = {photo: visitor.classify(photo) for photo in photos}
        for photo, verdict in verdicts.items():
            self._tell.tell(f"page: {photo.name} shows {photo.label}, now it says {verdict!r}")
        self._tell.claim("the page that was open all the time still answers", held=all(verdicts.values()))

    def _lie(self, program: Program, shell: Shell) -> None:
        self._tell.step("Second round: somebody gives ordinary pictures wrong labels, and the maintainer is careless")
        labels = self._plan.material.labels
        following = dict(zip(labels, (*labels[1:], labels[0]), strict=True))
        photos = self._plan.material.lied
        for photo in photos:
            program.say(program.classify(photo)["request_id"], following[photo.label])
        self._tell.tell(f"{len(photos)} pictures, each called by another label than its own")
        self._wait_until_sent(program)
        self._review(shell, len(photos), "second", look=False)

    def _refuse(self, shell: Shell, program: Program, commit: str) -> None:
        self._tell.step("The gate refuses what was learned from that")
        report = shell.run(*self._retraining("refused"), expected=_REFUSED)
        self._tell.tell(report)
        self._tell.claim("the report says why", held="REFUSED" in report)
        self._tell.claim("the hub's main branch has not moved", held=_head(shell) == commit)
        self._tell.claim("the app's revision has not changed", held=program.health()["model_revision"] == commit)

    def _shell(self, settings: dict[str, str]) -> Shell:
        threads = {"OMP_NUM_THREADS": str(self._plan.threads)} if self._plan.threads else {}
        return Shell(self._tell, self._plan.work / "logs", {**threads, **settings})


def _head(shell: Shell) -> str:
    """The commit of the model's main branch, asked of the hub itself."""
    answer = httpx.get(
        f"{shell.settings['HF_ENDPOINT']}/api/models/{MODEL}",
        headers={"Authorization": f"Bearer {shell.settings['HF_TOKEN']}"},
    )
    return str(answer.raise_for_status().json()["sha"])
