"""What a language brings: every sentence of the page. Labels come from the model and are put in."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from catdog.errors import CatdogError
from catdog.model.metadata import NEITHER, UNSURE, Verdict

_TWO = 2
_HIGHEST, _LOWEST = 99.9, 0.1


def capitalised(name: str) -> str:
    """With a capital first letter; names with capitals of their own, such as `T-Shirt` or `eBike`, stay as they are."""
    return name if name != name.lower() else name[:1].upper() + name[1:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """What the page says in one language. No field has a default: a language without a sentence does not start."""

    language: str
    """Its code, as browsers write it (BCP 47, without a region)."""
    own_name: str
    """What its speakers call it."""
    decimal_point: str
    thousands_separator: str
    percent_sign: str
    """What follows the number, a space included."""
    list_separator: str
    final_or: str
    final_and: str
    title_form: str
    label_names: tuple[tuple[str, str], ...]
    """What labels are called in this language; the others keep the model's word."""
    tagline: str
    noscript: str
    language_switch: str
    photo: str
    drop: str
    remove_photo: str
    camera: str
    paste: str
    url: str
    url_placeholder: str
    examples: str
    example_names: tuple[tuple[str, str], ...]
    waiting: str
    sending: str
    looking: str
    question: str
    right: str
    wrong: str
    why: str
    why_explained: str
    why_alt: str
    choose: str
    choose_unsure: str
    both: str
    several: str
    save_picture: str
    thanks_right: str
    thanks_wrong: str
    thanks_unsure: str
    thanks_again: str
    being_saved: str
    saved: str
    not_saved: str
    taken_back: str
    take_back: str
    will_be_sent: str
    will_be_sent_from_here: str
    unexpected: str
    unreachable: str
    try_again: str
    not_a_picture: str
    consent: str
    consent_list: str
    consent_audit: str
    kept_here: str
    kept_on_hub: str
    problem_texts: tuple[tuple[str, str], ...]
    """What to say of a failure, by its code; the others are told in their own words."""
    audit: str
    audited: str
    api: str
    model: str
    neither_of_two: str
    none_of_these: str
    not_sure: str
    sure: str
    closest: str
    a_guess: str
    about: str
    about_accuracy: str
    about_interval: str
    about_answered: str
    about_no_metrics: str
    about_learned: str
    about_limits: str
    about_others: str
    about_turned_away: str
    about_revision: str
    about_plot: str
    about_plot_alt: str
    camera_close: str
    camera_switch: str
    camera_snap: str
    camera_live: str
    camera_insecure: str
    camera_refused: str
    camera_missing: str
    camera_in_use: str
    camera_slow: str
    paste_nothing: str
    paste_by_keys: str
    several_title: str
    several_progress: str
    several_csv: str
    several_close: str
    several_correct: str
    several_too_many: str
    several_kept: str
    several_all: str
    several_sure_first: str
    several_unsure_first: str
    close: str
    several_order: str
    mine_title: str
    mine_note: str
    mine_said: str
    mine_undo: str
    mine_clear: str
    mine_saved: str
    mine_received: str
    mine_waiting: str
    mine_failed: str

    @property
    def for_scripts(self) -> dict[str, str]:
        """What the page's scripts show: all sentences by name, those of failures as `problem_` and their code."""
        sentences = {name: text for name, text in asdict(self).items() if isinstance(text, str)}
        return sentences | {f"problem_{code}": text for code, text in self.problem_texts}

    def problem(self, error: CatdogError) -> str:
        """What a failure is to the person who caused it."""
        return dict(self.problem_texts).get(error.code, str(error))

    def name(self, label: str) -> str:
        """A label in this language."""
        return dict(self.label_names).get(label, label)

    def shown(self, label: str) -> str:
        """A label in this language where it stands alone."""
        return capitalised(self.name(label))

    def title(self, labels: Sequence[str]) -> str:
        """The page's name, made of the model's labels."""
        first, *others = map(self.name, labels)
        return self.title_form.format(self._joined([capitalised(first), *others], self.final_or))

    def listed(self, labels: Sequence[str]) -> str:
        """All labels in a row."""
        return self._joined([self.name(label) for label in labels], self.final_and)

    def _joined(self, words: Sequence[str], last: str) -> str:
        return f"{self.list_separator.join(words[:-1])}{last if len(words) > 1 else ''}{words[-1]}"

    def verdict(self, verdict: str, labels: Sequence[str]) -> str:
        """The verdict in words."""
        if verdict == NEITHER:
            return self.neither_of_two.format(*map(self.name, labels)) if len(labels) == _TWO else self.none_of_these
        return self.not_sure if verdict == UNSURE else self.shown(verdict)

    def sureness(self, verdict: str, label: str, confidence: float) -> str:
        """How sure the model is, in words."""
        text = {NEITHER: self.closest, UNSURE: self.a_guess}.get(Verdict(verdict), self.sure)
        return text.format(label=self.name(label), percent=self.percent(confidence))

    def choice(self, answer: str, labels: Sequence[str]) -> str:
        """What a person may answer, in words."""
        if answer == UNSURE:
            return self.both if len(labels) == _TWO else self.several
        return self.verdict(answer, labels)

    def percent(self, probability: float) -> str:
        """A probability as this language writes it; never a claim of certainty."""
        return self._localized(format_percent(probability))

    def share(self, part: float) -> str:
        """A counted part of a whole, which may well be all of it."""
        return self._localized(format_share(part))

    def number(self, count: int) -> str:
        """A whole number as this language writes it."""
        return f"{count:,}".replace(",", self.thousands_separator)

    def _localized(self, percentage: str) -> str:
        return percentage.replace(".", self.decimal_point).replace("%", self.percent_sign)


def typeset(texts: Texts, marks: Mapping[str, str]) -> Texts:
    """The same sentences with marks as the language's typesetters want them, such as spaces that break no line."""

    def put(text: str) -> str:
        for plain, mark in marks.items():
            text = text.replace(plain, mark)
        return text

    changed: dict[str, Any] = {name: put(text) for name, text in asdict(texts).items() if isinstance(text, str)}
    changed["problem_texts"] = tuple((code, put(text)) for code, text in texts.problem_texts)
    return replace(texts, **changed)


def format_percent(probability: float) -> str:
    """A probability as a percentage; never a claim of certainty."""
    percent = 100 * probability
    if percent > _HIGHEST:
        return f"> {_HIGHEST}%"
    return f"< {_LOWEST}%" if percent < _LOWEST else format_share(probability)


def format_share(part: float) -> str:
    """A counted part of a whole as a percentage."""
    return f"{100 * part:.1f}%"
