"""Who may take the champion's place."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from train.gate.evidence import Answers, Asked, Evidence, Latency, Likeness, Outputs, Rejection, TurnedAway, folds
from train.gate.gate import Counts, foresee, judge
from train.gate.history import History, Look
from train.gate.report import GateReport
from train.gate.rules import Rules
from train.gate.significance import chance_loss, lower_bound, mcnemar, sign_flip
from train.metrics import Floats

RULES = Rules()
NOW = datetime(2026, 1, 1, tzinfo=UTC)
FAST = Latency(champion_ms=5.0, challenger_ms=5.0)


def in_turns(n: int) -> np.ndarray:
    """The true labels of n pictures: the first and the second of two labels in turns."""
    return np.arange(n) % 2


def probabilities(right: np.ndarray, sure: float | np.ndarray = 0.98, labels: np.ndarray | None = None) -> Floats:
    """Of two labels: as sure of the true one where that is right, and of the other where it is not."""
    true = np.where(right, sure, 1 - np.asarray(sure))
    second = (in_turns(len(true)) if labels is None else labels)[:, None] == 1
    return np.where(second, np.column_stack([1 - true, true]), np.column_stack([true, 1 - true]))


def outputs(n: int, *, champion: int = 0, challenger: int = 0, twin: int | None = None, first: int = 0) -> Outputs:
    """Of n pictures so many that each model gets wrong: those of champion and twin from the start, the challenger's
    from `first` on. The twin is as the champion unless said."""
    wrong = {
        "champion": (0, champion),
        "challenger": (first, challenger),
        "twin": (0, champion if twin is None else twin),
    }
    right = {name: ~np.isin(np.arange(n), np.arange(start, start + count)) for name, (start, count) in wrong.items()}
    return Outputs(in_turns(n), *(probabilities(right[name]) for name in wrong))


def answers(found: Outputs, *, asked: Asked = Asked.VOLUNTEERED, groups: np.ndarray | None = None) -> Answers:
    n = len(found)
    numbers = np.arange(n) if groups is None else groups
    return Answers(found, numbers, (asked,) * n, tuple((f"row{i}",) for i in range(n)))


def likeness(error_rate: float) -> Likeness:
    """Of two thousand pictures."""
    return Likeness(round(2000 * error_rate), 2000)


NONE = TurnedAway(np.zeros(0, dtype=np.bool_), np.zeros(0, dtype=np.bool_))
LEARNED = answers(outputs(60, champion=40, challenger=20))


def verdict(test: Outputs, given: Answers = LEARNED, history: History = History(), **changes: object) -> GateReport:  # noqa: B008
    evidence = Evidence(
        test, changes.pop("slices", {}), given, changes.pop("latency", FAST), changes.pop("rejection", None)
    )
    return judge(evidence, history, rules=RULES, now=changes.pop("now", NOW))


def failed(report: GateReport) -> list[str]:
    return [check.name for check in report.checks if not check.passed]


def test_a_challenger_that_loses_nothing_and_learned_from_feedback_is_accepted() -> None:
    report = verdict(outputs(2000, champion=30, challenger=30))
    assert report.accepted
    assert report.reasons == []
    assert "accepted" in report.as_text()


def test_winning_on_the_champions_mistakes_is_nothing_if_the_twin_wins_them_too() -> None:
    test = outputs(2000, champion=30, challenger=30)
    assert failed(verdict(test, answers(outputs(60, champion=40, challenger=20, twin=20)))) == ["learned from feedback"]
    assert "Nothing systematic" in verdict(test, answers(outputs(60, champion=40, challenger=20, twin=20))).as_text()


def test_a_challenger_that_is_merely_less_certain_learned_nothing() -> None:
    """On corrections alone less certainty always looks better."""
    right = np.arange(2000) >= 20
    test = Outputs(
        in_turns(2000),
        probabilities(right, 0.99),
        probabilities(right, 0.9),
        probabilities(right, 0.99),
    )
    wrong = np.zeros(100, dtype=bool)
    given = Outputs(in_turns(100), probabilities(wrong, 0.99), probabilities(wrong, 0.9), probabilities(wrong, 0.99))
    report = verdict(test, answers(given))
    assert "learned from feedback" in failed(report)
    assert report.numbers["answers_challenger_log_loss"] < report.numbers["answers_twin_log_loss"]


def test_labels_drawn_at_random_confirm_nothing() -> None:
    """Half of what the champion has wrong is confirmed then, and where it is right now it seems newly wrong."""
    true = {"champion": np.full(100, 0.95), "challenger": np.full(100, 0.95), "twin": np.full(100, 0.95)}
    for name, fixed in (("champion", 0), ("challenger", 18), ("twin", 3)):
        true[name][fixed:45] = 0.05  # of 45 mistakes
    true["challenger"][45:57] = 0.45  # of 55 confirmed answers
    found = Outputs(in_turns(100), *(probabilities(np.ones(100, dtype=bool), each) for each in true.values()))
    given = replace(answers(found), likeness=likeness(0.4))
    assert "learned from feedback" in failed(verdict(outputs(2000, champion=30, challenger=30), given))


def test_luck_with_training_is_nothing_learned() -> None:
    """Two networks that learned nothing are both worse than the champion, but one of them leads over the other."""
    wrong = np.arange(2000) < 20
    sure = {"champion": 0.99, "challenger": 0.987, "twin": 0.984}
    kept = Outputs(in_turns(2000), *(probabilities(~wrong, each) for each in sure.values()))
    newly_right = {"champion": 0, "challenger": 16, "twin": 2}
    told = Outputs(in_turns(60), *(probabilities(np.arange(60) < each, 0.6) for each in newly_right.values()))
    report = verdict(kept, answers(told))
    assert failed(report) == ["learned from feedback"]
    better = replace(kept, challenger=probabilities(~wrong, 0.99))
    assert verdict(better, answers(told)).accepted


def test_probabilities_that_are_better_than_the_twins_count_if_clearly_more_is_right_as_well() -> None:
    """Few mistakes and many confirmed answers: five of five changes may not be significant at the level of a look."""
    champion = np.where(np.arange(160) < 19, 0.3, 0.8)
    challenger = champion + 0.1
    for fixed, passed in ((5, True), (4, False)):
        challenger[:19] = np.where(np.arange(19) < fixed, 0.6, 0.4)
        found = (probabilities(np.ones(160, dtype=bool), each) for each in (champion, challenger, champion))
        given = answers(Outputs(in_turns(160), *found))
        assert verdict(outputs(60, champion=9, challenger=8), given).accepted is passed


def test_copies_of_one_picture_are_one_answer() -> None:
    copies = answers(outputs(60, champion=40, challenger=20), groups=np.repeat(np.arange(3), 20))
    assert failed(verdict(outputs(2000), copies)) == ["learned from feedback"]


def test_a_gain_that_costs_confirmed_answers_is_refused() -> None:
    given = answers(outputs(100, champion=50, challenger=8, first=60))
    assert "confirmed answers" in failed(verdict(outputs(2000), given))


@pytest.mark.parametrize(("error_rate", "lost", "passed"), [
    (0.0, 3, True), (0.0, 5, False), (0.4, 16, True), (0.4, 17, False), (0.95, 24, True), (0.95, 25, False),
])  # fmt: skip
def test_of_a_kind_that_the_champion_often_has_wrong_two_thirds_of_the_gain_may_be_lost(
    error_rate: float, lost: int, passed: bool
) -> None:
    """Of 50 mistakes 25 are newly right; 2.5 others were confirmed by a wrong click. At most half are mistakes, as
    people report these more often. By chance a few more may be lost."""
    found = outputs(100, champion=50, challenger=25 + lost, first=25)
    report = verdict(outputs(2000), replace(answers(found), likeness=likeness(error_rate)))
    assert ("confirmed answers" not in failed(report)) is passed, report.as_text()


def test_the_mistakes_of_a_kind_weigh_as_people_report_them() -> None:
    """The champion calls nearly everything of this kind the second label, and of other pictures as many the first."""
    test = outputs(2000, champion=40, challenger=40)
    labels = np.r_[np.zeros(60), np.ones(10)].astype(np.int64)
    wrong, fixed = np.zeros(70, dtype=bool), np.arange(70) < 40
    sure = np.where(labels == 0, 0.95, 0.998)
    told = (probabilities(*each, labels=labels) for each in ((wrong, 0.95), (fixed, sure), (wrong, 0.95)))
    assert verdict(test, answers(Outputs(labels, *told))).accepted


@pytest.mark.parametrize("lean", [0.25, 0.5])
def test_leaning_to_the_label_that_is_reported_is_nothing_learned(lean: float) -> None:
    """All mistakes that people report show the first label; some become right if the challenger says it more often."""
    generator = np.random.default_rng(0)

    def models(labels: np.ndarray, wrong: int) -> Outputs:
        is_wrong, margins = np.arange(len(labels)) < wrong, generator.exponential(size=len(labels))
        logits = np.where(is_wrong, -margins, 4 + margins) * np.where(labels == 0, 1, -1)
        probabilities = (np.column_stack([1 / (1 + np.exp(-z)), 1 / (1 + np.exp(z))]) for z in (
            logits, logits + lean, logits,
        ))  # fmt: skip
        return Outputs(labels, *probabilities)

    report = verdict(models(in_turns(2000), 20), answers(models(np.zeros(100, dtype=np.int64), 100)))
    assert "learned from feedback" in failed(report), report.as_text()


def test_the_report_says_what_chance_explains_and_what_is_asked_there() -> None:
    found = verdict(outputs(2000, champion=30, challenger=30), answers(outputs(60, champion=40, challenger=37)))
    assert "answers newly right against the twin: p = 0.12, below 0.05 is asked" in found.as_text()


@pytest.mark.parametrize(("lost", "passed"), [(2, True), (4, True), (5, False)])
def test_a_tenth_of_a_point_may_be_lost_on_the_test_set_or_what_chance_explains(lost: int, passed: bool) -> None:
    report = verdict(outputs(2000, champion=20, challenger=20 + lost))
    assert ("accuracy on unselected pictures" not in failed(report)) is passed


def test_the_random_sample_is_judged_with_the_test_set() -> None:
    found = outputs(60, champion=40, challenger=20)
    sample = Answers(found, np.arange(60), (Asked.SAMPLE,) * 60, (("row",),) * 60)
    assert "2060 pictures" in verdict(outputs(2000), sample).as_text()
    worse = answers(outputs(60, challenger=10), asked=Asked.SAMPLE)
    assert "accuracy on unselected pictures" in failed(verdict(outputs(2000), worse))


def test_an_equal_accuracy_from_many_changes_is_too_uncertain() -> None:
    assert "its 95% lower bound" in failed(verdict(outputs(2000, champion=40, challenger=40, first=40)))
    assert "its 95% lower bound" not in failed(verdict(outputs(2000, champion=4, challenger=4, first=4)))


@pytest.mark.parametrize("n", [53, 200, 500])
def test_with_few_test_pictures_a_better_model_passes_and_the_report_says_what_may_go_unnoticed(n: int) -> None:
    report = verdict(outputs(n, champion=n // 8, challenger=n // 10, first=n // 40))
    assert report.accepted, report.as_text()
    assert any("cannot show a loss" in note for note in report.notes) is (n < 500)


def test_with_few_test_pictures_a_clear_loss_is_still_refused() -> None:
    assert not verdict(outputs(53, champion=5, challenger=9)).accepted


@pytest.mark.parametrize(("size", "lost", "passed"), [(100, 2, True), (100, 5, False), (99, 5, True)])
def test_no_slice_of_a_hundred_may_lose_more_than_a_point_unless_chance_explains_it(
    size: int, lost: int, passed: bool
) -> None:
    test = outputs(4000, champion=5, challenger=lost, first=5)
    mask = np.zeros(4000, dtype=bool)
    mask[5 : 5 + size] = True
    report = verdict(test, slices={"dark": mask})
    assert ("slices" not in failed(report)) is passed
    assert "dark" in report.as_text()


def test_a_challenger_that_is_too_sure_of_itself_is_refused() -> None:
    right = np.random.default_rng(0).random(2000) < 0.9
    test = Outputs(
        in_turns(2000),
        probabilities(right, 0.9),
        probabilities(right, 0.9999),
        probabilities(right, 0.9),
    )
    assert {"calibration", "log loss on unselected pictures"} <= set(failed(verdict(test)))


def test_a_slow_challenger_is_refused() -> None:
    assert verdict(outputs(2000), latency=Latency(champion_ms=10, challenger_ms=13)).accepted
    assert failed(verdict(outputs(2000), latency=Latency(champion_ms=10, challenger_ms=14))) == ["latency"]


@pytest.mark.parametrize("count", [0, 29])
def test_too_few_answers_are_refused_and_not_a_crash(count: int) -> None:
    report = verdict(outputs(2000), answers(outputs(count, champion=count)))
    assert failed(report) == ["learned from feedback"]
    assert "30 are needed" in report.reasons[0]


def rejection(challenger: int, *, pets: int = 0) -> Rejection:
    return Rejection(
        neither=TurnedAway(np.arange(50) < 5, np.arange(50) < challenger),
        known=NONE,
        answers=NONE,
        test=TurnedAway(np.arange(2000) < 20, np.arange(2000) < 20 + pets),
    )


def test_answers_of_neither_alone_can_pass_and_turn_away_no_pets() -> None:
    nobody = answers(outputs(0))
    assert verdict(outputs(2000), nobody, rejection=rejection(40)).accepted
    assert failed(verdict(outputs(2000), nobody, rejection=rejection(7))) == ["learned from feedback"]
    assert failed(verdict(outputs(2000), nobody, rejection=rejection(40, pets=5))) == [
        'test pictures turned away as "neither"'
    ]


def named(people: np.ndarray, challenger: np.ndarray, *, through: int = 40, known: TurnedAway = NONE) -> GateReport:
    """The verdict on 60 answers that the champion turns away; the challenger lets some through."""
    said = probabilities(np.ones(60, dtype=np.bool_), labels=challenger)
    found = answers(Outputs(people, said, said, said))
    away = TurnedAway(np.ones(60, dtype=np.bool_), np.arange(60) >= through)
    test = TurnedAway(np.arange(2000) < 20, np.arange(2000) < 20)
    return verdict(outputs(2000), found, rejection=Rejection(NONE, known, away, test))


PEOPLE = np.arange(60) % 2


def test_labels_of_pictures_that_were_turned_away_can_pass_where_people_agree_with_them() -> None:
    most_right = np.where(np.arange(60) % 6 == 5, 1 - PEOPLE, PEOPLE)
    report = named(PEOPLE, most_right)
    assert report.accepted
    assert "of 60 answers with a label that are turned away as `neither` 40 get a label now, 34 the right one" in (
        report.as_text()
    )


@pytest.mark.parametrize(
    ("people", "challenger"),
    [
        (np.random.default_rng(0).integers(0, 2, 60), PEOPLE),
        (np.zeros(60, dtype=np.int64), np.zeros(60, dtype=np.int64)),
        (PEOPLE, 1 - PEOPLE),
    ],
    ids=["people say anything", "always the same", "the challenger is wrong"],
)
def test_labels_that_say_nothing_let_nothing_through(people: np.ndarray, challenger: np.ndarray) -> None:
    assert failed(named(people, challenger)) == ["learned from feedback"]


def test_what_people_called_neither_stays_turned_away() -> None:
    known = TurnedAway(np.ones(20, dtype=np.bool_), np.arange(20) < 12)
    assert failed(named(PEOPLE, PEOPLE, known=known)) == ["answers `neither`"]


def test_every_look_spends_some_of_the_chance_to_err_and_time_brings_little_back() -> None:
    history, levels = History(), []
    for week in range(52):
        now = NOW + timedelta(weeks=week)
        levels.append(history.level(now))
        history = history.plus(Look(at=now, champion="x", answers=1, p=1, level=levels[-1], accepted=False))
    assert sum(levels) <= 0.05
    assert levels[0] == pytest.approx(0.01)
    assert min(levels) > 0.0003
    assert history.level(NOW + timedelta(weeks=52)) > history.level(NOW + timedelta(weeks=51))


def test_a_gain_that_passes_at_first_is_not_enough_after_many_looks() -> None:
    given = answers(outputs(40, champion=40, challenger=32))
    looks = [
        Look(at=NOW - timedelta(minutes=i), champion="x", answers=1, p=1, level=0.003, accepted=False) for i in range(9)
    ]
    assert verdict(outputs(2000), given).accepted
    assert failed(verdict(outputs(2000), given, History(looks=tuple(looks[::-1])))) == ["learned from feedback"]


def test_what_cannot_be_judged_is_said_before_any_training() -> None:
    def outlook(**changes: int) -> str | None:
        counts = {"answers": 100, "corrections": 70, "neither": 0, "turned_away": 0, "test": 2000, **changes}
        return foresee(Counts(**counts), History(), rules=RULES, now=NOW).reason

    assert outlook() is None
    assert "30 are needed" in str(outlook(answers=20, corrections=20))
    assert "too few to show a gain" in str(outlook(corrections=5))
    assert outlook(answers=0, corrections=0, neither=50) is None
    assert outlook(corrections=0, turned_away=50) is None


def test_the_report_names_pictures_won_and_lost() -> None:
    found = outputs(60, champion=40, challenger=21, first=20)
    report = verdict(outputs(2000), answers(found))
    outcomes = [picture.outcome for picture in report.pictures]
    assert (outcomes.count("won"), outcomes.count("lost")) == (20, 1)
    assert report.pictures[0].row_ids == ("row0",)


def test_mcnemars_p_is_that_of_the_binomial_distribution() -> None:
    assert mcnemar(np.array([1] * 5)) == pytest.approx(1 / 32)
    assert mcnemar(np.array([1, 1, 1, -1, 0, 0])) == pytest.approx(5 / 16)
    assert mcnemar(np.array([0, 0])) == 1.0


def test_the_permutation_test_agrees_with_the_binomial_distribution() -> None:
    assert sign_flip(np.array([1.0, 1.0, 1.0, -1.0])) == pytest.approx(5 / 16, abs=0.1)
    assert sign_flip(np.ones(10)) == pytest.approx(1 / 1024, rel=0.5)
    assert sign_flip(np.zeros(10)) == 1.0


def test_the_lower_bound_is_repeatable_and_one_sided() -> None:
    gains = np.array([-1] * 10 + [1] * 10 + [0] * 1980)
    bound = lower_bound(gains, seed=0)
    assert bound == lower_bound(gains, seed=0)
    assert bound == pytest.approx(-1.645 * np.sqrt(20) / 2000, abs=0.0004)
    assert lower_bound(np.zeros(50, dtype=np.int64), seed=0) == 0.0


def test_near_duplicates_share_a_fold_and_folds_are_of_equal_size() -> None:
    groups = np.repeat(np.arange(25), 2)
    found = folds(groups)
    assert (found[::2] == found[1::2]).all()
    assert np.bincount(found).tolist() == [10] * 5
    assert set(folds([1, 2])) == {0, 1}


def test_a_report_survives_its_file() -> None:
    report = verdict(outputs(200, champion=2), slices={"empty": np.zeros(200, dtype=bool)})
    assert GateReport.model_validate_json(report.model_dump_json()) == report


@pytest.mark.parametrize(("lost", "won", "allowed"), [(0, 0, 0), (3, 0, 3), (5, 0, 3), (6, 1, 5), (60, 40, 16)])
def test_chance_takes_away_what_a_fair_coin_would_once_in_twenty_times(lost: int, won: int, allowed: int) -> None:
    gains = np.repeat([-1, 1, 0], [lost, won, 7]).astype(np.int64)
    assert chance_loss(gains) == allowed
