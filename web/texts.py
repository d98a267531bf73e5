"""Every sentence of the page, in one place. Labels come from the model and are put in."""

from collections.abc import Sequence
from dataclasses import dataclass

from catdog.metadata import NEITHER, UNSURE

_TWO = 2
_HIGHEST, _LOWEST = 99.9, 0.1


@dataclass(frozen=True, slots=True)
class Texts:
    """What the page says in one language."""

    tagline: str = "Show it a photo. It says what it sees, and learns when you correct it."
    photo: str = "Photo"
    drop: str = "Drop a photo here, paste one, or choose one"
    url: str = "Address of a picture"
    url_placeholder: str = "Or a picture's web address"
    waiting: str = "The answer appears here."
    question: str = "Is that right?"
    right: str = "Right"
    wrong: str = "Wrong label"
    choose: str = "What is it really?"
    choose_unsure: str = "What is it?"
    both: str = "Both, or can't tell"
    several: str = "Several, or can't tell"
    take_back: str = "Take it back"
    thanks_right: str = "Thank you! Good to know that it was right."
    thanks_wrong: str = "Thank you! Noted as “{label}”. The next model can learn from it."
    thanks_again: str = "You have said so already, and it is kept. Thank you!"
    being_saved: str = "Sent, being saved."
    saved: str = "Saved. Thank you!"
    not_saved: str = "Your correction could not be saved. Send it again."
    taken_back: str = "Taken back: your answer and the photo are deleted."
    picture_gone: str = "This photo is no longer here. Choose it again, then correct it."
    not_uploaded: str = "Only pictures that were sent here can be classified. Choose one again."
    unexpected: str = "Something went wrong here. Try again in a moment."
    consent: str = (
        "Photos are not kept, unless you press one of these buttons: then the answer and a small copy of the photo, "
        "without its metadata, are kept to train the next model."
    )
    test_mode: str = "Test mode: pictures are fetched from private addresses too. Never run it like this in the open."
    feedback_is_lost: str = (
        "Corrections are lost when this Space restarts. Set CATDOG_FEEDBACK_REPO, or mount a volume as the data folder."
    )
    api: str = "REST API"
    model: str = "Model: {model_id} ({revision})"

    def title(self, labels: Sequence[str]) -> str:
        """The page's name, made of the model's labels."""
        return f"{_enumerated([label.capitalize() if not i else label for i, label in enumerate(labels)])}?"

    def verdict(self, verdict: str, labels: Sequence[str]) -> str:
        """The answer in words."""
        if verdict == NEITHER:
            return f"Neither {' nor '.join(labels)}" if len(labels) == _TWO else "None of these"
        return "Not sure" if verdict == UNSURE else verdict.capitalize()

    def sureness(self, verdict: str, label: str, confidence: float) -> str:
        """How sure the model is, in words."""
        percent = format_percent(confidence)
        if verdict == NEITHER:
            return f"Among the labels it knows, {label} fits best ({percent})."
        return f"It could be {label} ({percent}), but that is a guess." if verdict == UNSURE else f"{percent} sure"

    def choice(self, answer: str, labels: Sequence[str]) -> str:
        """What a person may answer, in words."""
        if answer == UNSURE:
            return self.both if len(labels) == _TWO else self.several
        return self.verdict(answer, labels)


ENGLISH = Texts()


def format_percent(probability: float) -> str:
    """A probability as a percentage; never a claim of certainty."""
    percent = 100 * probability
    if percent > _HIGHEST:
        return f"> {_HIGHEST} %"
    return f"< {_LOWEST} %" if percent < _LOWEST else f"{percent:.1f} %"


def _enumerated(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
