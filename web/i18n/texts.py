"""Every sentence of the page, in one place and in each language. Labels come from the model and are put in."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from catdog.errors import CatdogError
from catdog.model.metadata import NEITHER, UNSURE, Verdict

_TWO = 2
_HIGHEST, _LOWEST = 99.9, 0.1


@dataclass(frozen=True, slots=True)
class Texts:
    """What the page says in one language."""

    language: str = "en"
    decimal_point: str = "."
    thousands_separator: str = ","
    label_names: tuple[tuple[str, str], ...] = ()
    """What labels are called in this language; those that are not here keep the model's word."""
    tagline: str = "Show it a photo. It says what it sees, and learns when you correct it."
    photo: str = "Photo"
    drop: str = "Choose photos, or drop them here"
    remove_photo: str = "Remove the photo"
    camera: str = "Camera"
    paste: str = "Paste"
    url: str = "Address of a picture"
    url_placeholder: str = "Or a picture's web address"
    examples: str = "No photo at hand? Try one of these:"
    example_names: tuple[tuple[str, str], ...] = (
        ("drawn-cat", "A drawn cat"),
        ("drawn-dog", "A drawn dog"),
        ("cup", "A cup"),
        ("lion", "A lion"),
        ("cheetah", "A cheetah"),
    )
    waiting: str = "The answer appears here."
    question: str = "Is that right?"
    right: str = "Right"
    wrong: str = "Wrong label"
    why: str = "Why?"
    why_explained: str = "The brighter a place, the more it speaks for “{label}”. It does not look at the shaded edge."
    why_alt: str = "Heat map over the photo"
    choose: str = "What is it really?"
    choose_unsure: str = "What is it?"
    both: str = "Both, or can't tell"
    several: str = "Several, or can't tell"
    take_back: str = "Take it back"
    thanks_right: str = "Thank you! Good to know that it was right."
    thanks_wrong: str = "Thank you! Noted as “{label}”. The next model can learn from it."
    thanks_again: str = "You have said so already, and it is kept. Thank you!"
    receipt: str = "Receipt: {receipt}"
    being_saved: str = "Sent, being saved."
    saved: str = "Saved. Thank you!"
    not_saved: str = "Your correction could not be saved. Send it again."
    taken_back: str = "Taken back: your answer and the photo are deleted."
    picture_gone: str = "This photo is no longer here. Choose it again, then correct it."
    not_uploaded: str = "Only pictures that were sent here can be classified. Choose one again."
    unexpected: str = "Something went wrong here. Try again in a moment."
    unreachable: str = "The server cannot be reached. Check your connection, then try again."
    consent: str = (
        "Your photo is deleted after {upload} minutes; a small copy stays in memory for up to {memory} minutes, so "
        "that you can correct the answer. Only if you confirm the answer or say what the photo shows is that copy "
        "kept, without metadata and with your answer, to train the next model: {kept}."
    )
    consent_audit: str = "If you tick the box about random photos, it may be kept for that, too."
    kept_here: str = "on this server, until you take them back"
    kept_on_hub: str = "in the maintainers' data set, until you take them back, and for {days} more days on this server"
    problem_texts: tuple[tuple[str, str], ...] = ()
    """What to say of a failure, by its code; of those that are not here, its own sentence is said."""
    audit: str = (
        "Now and then one of my photos may be kept at random, as a small copy without metadata, and looked at by a "
        "person, to learn how often the answers are right."
    )
    audited: str = "This photo was kept at random, as you agreed."
    test_mode: str = "Test mode: pictures are fetched from private addresses too. Never run it like this in the open."
    feedback_is_lost: str = (
        "Corrections are lost when this Space restarts. Set CATDOG_FEEDBACK_REPO, or mount a volume as the data folder."
    )
    api: str = "REST API"
    model: str = "Model: {model_id} ({revision})"
    neither_of_two: str = "Neither {0} nor {1}"
    none_of_these: str = "None of these"
    not_sure: str = "Not sure"
    final_or: str = "or"
    sure: str = "{percent} sure"
    fits_best: str = "If it had to choose, it would say {label} ({percent})."
    a_guess: str = "Most likely {label} ({percent}), but that is a guess."
    about: str = "About this model"
    about_accuracy: str = "On {n} test pictures that it had never seen it was right in {accuracy} of cases{interval}."
    about_interval: str = " (95 % interval {low} to {high})"
    about_answered: str = "It dares an answer on {answered} of them, and {accuracy} of those are right."
    about_no_metrics: str = "This model does not say how it was tested."
    about_learned: str = "It has learned from {n} corrections of its visitors."
    about_limits: str = (
        "It knows only {labels}, and one label a photo. Drawings, close-ups and small subjects are harder. {others}"
    )
    about_others: str = "Anything else may get one of these labels too."
    about_turned_away: str = "Of pictures of other things it turns most away as “{neither}”, not all."
    about_revision: str = "Revision"
    about_plot: str = "Of the answers that are 80 % sure, are 80 % right? Calibration on the test pictures:"
    about_plot_alt: str = "Calibration plot: how often the model is right, by how sure it says it is"
    camera_close: str = "Close the camera"
    camera_switch: str = "Switch camera"
    camera_snap: str = "Take the photo"
    camera_live: str = "Live"
    camera_insecure: str = (
        "Browsers give cameras only to pages over https, or on this very computer. Open this page by an address that "
        "begins with https://, or by http://localhost; or choose a photo instead."
    )
    camera_refused: str = (
        "The browser did not allow the camera. Allow it for this page in the browser's settings, then try again."
    )
    camera_missing: str = "No camera was found. Connect one, or choose a photo instead."
    camera_slow: str = "Many are using this: live answers come more slowly."
    paste_nothing: str = "There is no picture in the clipboard. Copy one first, then paste it."
    several_title: str = "Your photos"
    several_progress: str = "{done} of {all} photos"
    several_csv: str = "Save as CSV"
    several_close: str = "Close the list"
    several_correct: str = "Correct the label"
    several_too_many: str = "Only the first {n} photos were taken. Send the others afterwards."
    several_kept: str = "Noted."

    @property
    def for_scripts(self) -> dict[str, str]:
        """What the page's scripts show."""
        wanted = ("camera_", "paste_", "several_", "remove_", "wrong", "unexpected", "unreachable", "decimal_point")
        sentences = {name: text for name, text in asdict(self).items() if name.startswith(wanted)}
        return sentences | {f"problem_{code}": text for code, text in self.problem_texts}

    def problem(self, error: CatdogError) -> str:
        """What a failure is to the person who caused it: in English its own sentence."""
        return dict(self.problem_texts).get(error.code, str(error))

    def name(self, label: str) -> str:
        """A label in this language."""
        return dict(self.label_names).get(label, label)

    def title(self, labels: Sequence[str]) -> str:
        """The page's name, made of the model's labels."""
        first, *others = map(self.name, labels)
        return f"{self._enumerated([first.capitalize(), *others])}?"

    def verdict(self, verdict: str, labels: Sequence[str]) -> str:
        """The answer in words."""
        if verdict == NEITHER:
            return self.neither_of_two.format(*map(self.name, labels)) if len(labels) == _TWO else self.none_of_these
        return self.not_sure if verdict == UNSURE else self.name(verdict).capitalize()

    def sureness(self, verdict: str, label: str, confidence: float) -> str:
        """How sure the model is, in words."""
        text = {NEITHER: self.fits_best, UNSURE: self.a_guess}.get(Verdict(verdict), self.sure)
        return text.format(label=self.name(label), percent=self.percent(confidence))

    def choice(self, answer: str, labels: Sequence[str]) -> str:
        """What a person may answer, in words."""
        if answer == UNSURE:
            return self.both if len(labels) == _TWO else self.several
        return self.verdict(answer, labels)

    def percent(self, probability: float) -> str:
        """A probability as this language writes it."""
        return format_percent(probability).replace(".", self.decimal_point)

    def share(self, part: float) -> str:
        """A counted part of a whole, which may well be all of it."""
        return format_share(part).replace(".", self.decimal_point)

    def number(self, count: int) -> str:
        """A whole number as this language writes it."""
        return f"{count:,}".replace(",", self.thousands_separator)

    def _enumerated(self, words: Sequence[str]) -> str:
        return f"{', '.join(words[:-1])} {self.final_or} {words[-1]}"


ENGLISH = Texts()
GERMAN = Texts(
    language="de",
    decimal_point=",",
    thousands_separator=".",
    label_names=(("cat", "Katze"), ("dog", "Hund")),
    tagline="Zeig ihm ein Foto. Es sagt, was es sieht, und lernt, wenn du es verbesserst.",
    photo="Foto",
    drop="Fotos auswählen oder hier ablegen",
    remove_photo="Foto entfernen",
    camera="Kamera",
    paste="Einfügen",
    url="Adresse eines Bildes",
    url_placeholder="Oder die Webadresse eines Bildes",
    examples="Kein Foto zur Hand? Nimm eines von diesen:",
    example_names=(
        ("drawn-cat", "Eine gezeichnete Katze"),
        ("drawn-dog", "Ein gezeichneter Hund"),
        ("cup", "Eine Tasse"),
        ("lion", "Ein Löwe"),
        ("cheetah", "Ein Gepard"),
    ),
    waiting="Hier erscheint die Antwort.",
    question="Stimmt das?",
    right="Stimmt",
    wrong="Falsch",
    why="Warum?",
    why_explained="Je heller eine Stelle, desto mehr spricht sie für „{label}“. Den dunklen Rand sieht es nicht an.",
    why_alt="Wärmebild über dem Foto",
    choose="Was ist es wirklich?",
    choose_unsure="Was ist es?",
    both="Beides, oder nicht zu erkennen",
    several="Mehreres, oder nicht zu erkennen",
    take_back="Zurücknehmen",
    thanks_right="Danke! Gut zu wissen, dass es stimmt.",
    thanks_wrong="Danke! Vermerkt als „{label}“. Das nächste Modell kann daraus lernen.",
    thanks_again="Das hast du schon gesagt, und es ist gespeichert. Danke!",
    receipt="Beleg: {receipt}",
    being_saved="Gesendet, wird gespeichert.",
    saved="Gespeichert. Danke!",
    not_saved="Deine Korrektur konnte nicht gespeichert werden. Sende sie noch einmal.",
    taken_back="Zurückgenommen: Deine Antwort und das Foto sind gelöscht.",
    picture_gone="Dieses Foto ist nicht mehr da. Wähle es noch einmal aus und verbessere es dann.",
    not_uploaded="Nur Bilder, die hierher gesendet wurden, werden erkannt. Wähle noch einmal eines aus.",
    unexpected="Hier ist etwas schiefgegangen. Versuche es gleich noch einmal.",
    unreachable="Der Server ist nicht zu erreichen. Prüfe die Verbindung und versuche es noch einmal.",
    audit=(
        "Ab und zu darf eines meiner Fotos zufällig behalten werden, als kleine Kopie ohne Metadaten, und ein Mensch "
        "darf es ansehen, um zu erfahren, wie oft die Antworten stimmen."
    ),
    audited="Dieses Foto wurde zufällig behalten, wie du erlaubt hast.",
    consent=(
        "Dein Foto wird nach {upload} Minuten gelöscht; eine kleine Kopie bleibt bis zu {memory} Minuten im "
        "Arbeitsspeicher, damit du die Antwort verbessern kannst. Nur wenn du die Antwort bestätigst oder sagst, was "
        "das Foto zeigt, wird diese Kopie behalten, ohne Metadaten und mit deiner Antwort, um das nächste Modell zu "
        "trainieren: {kept}."
    ),
    consent_audit="Hast du dem zufälligen Behalten zugestimmt, kann sie auch dafür behalten werden.",
    kept_here="auf diesem Server, bis du sie zurücknimmst",
    kept_on_hub=(
        "im Datensatz der Betreiber, bis du sie zurücknimmst, und hier noch {days} Tage, nachdem sie dort sind"
    ),
    problem_texts=(
        ("unreadable_image", "Das ist kein Bild, das sich lesen lässt. Schicke JPEG, PNG, WebP, AVIF, GIF oder HEIC."),
        ("image_too_large", "Das Bild ist zu groß. Schicke eine kleinere Kopie."),
        ("body_too_large", "Das Bild ist zu groß. Schicke eine kleinere Kopie."),
        (
            "url_refused",
            (
                "Diese Adresse ist von hier aus nicht zu erreichen oder darf es nicht sein. Prüfe sie, oder speichere "
                "das Bild und schicke die Datei."
            ),
        ),
        ("url_not_image", "Unter dieser Adresse ist kein Bild. Öffne dort das Bild selbst und kopiere seine Adresse."),
        ("url_failed", "Von dieser Adresse kam kein Bild. Sieh nach, ob dein Browser es zeigt."),
        ("unknown_request", "Dieses Foto ist nicht mehr da. Wähle es noch einmal aus."),
        ("rate_limited", "Das waren zu viele Anfragen. Versuche es in einer Minute noch einmal."),
        ("busy", "Gerade fragen sehr viele. Versuche es gleich noch einmal."),
        ("no_model", "Noch ist kein Modell bereit. Versuche es in einer Minute noch einmal."),
        ("feedback_failed", "Deine Antwort konnte nicht gespeichert werden. Sende sie noch einmal."),
    ),
    api="REST-API",
    model="Modell: {model_id} ({revision})",
    neither_of_two="Weder {0} noch {1}",
    none_of_these="Nichts davon",
    not_sure="Nicht sicher",
    final_or="oder",
    sure="zu {percent} sicher",
    fits_best="Müsste es wählen, sagte es {label} ({percent}).",
    a_guess="Am ehesten {label} ({percent}), aber das ist geraten.",
    about="Über dieses Modell",
    about_accuracy="Bei {n} Testbildern, die es nie gesehen hatte, lag es in {accuracy} der Fälle richtig{interval}.",
    about_interval=" (95-%-Intervall {low} bis {high})",
    about_answered="Bei {answered} davon traut es sich eine Antwort zu; {accuracy} dieser Antworten stimmen.",
    about_no_metrics="Dieses Modell sagt nicht, wie es geprüft wurde.",
    about_learned="Es hat aus {n} Korrekturen seiner Besucher gelernt.",
    about_limits=(
        "Es kennt nur {labels} und sagt nur eines je Foto. Zeichnungen, Nahaufnahmen und kleine Motive sind schwerer. "
        "{others}"
    ),
    about_others="Auch alles andere kann so benannt werden.",
    about_turned_away="Bilder von anderem weist es meist als „{neither}“ zurück, aber nicht immer.",
    about_revision="Version",
    about_plot="Stimmen von den Antworten, die zu 80 % sicher sind, 80 %? Kalibrierung auf den Testbildern:",
    about_plot_alt="Kalibrierung: wie oft das Modell recht hat, je nachdem, wie sicher es sich ist",
    camera_close="Kamera schließen",
    camera_switch="Kamera wechseln",
    camera_snap="Foto aufnehmen",
    camera_live="Live",
    camera_insecure=(
        "Browser geben die Kamera nur Seiten über https oder auf diesem Rechner selbst frei. Öffne diese Seite mit "
        "einer Adresse, die mit https:// beginnt, oder mit http://localhost; oder wähle ein Foto aus."
    ),
    camera_refused=(
        "Der Browser hat die Kamera nicht erlaubt. Erlaube sie für diese Seite in den Einstellungen des Browsers."
    ),
    camera_missing="Keine Kamera gefunden. Schließe eine an oder wähle ein Foto aus.",
    camera_slow="Gerade fragen viele: Die Antworten kommen langsamer.",
    paste_nothing="In der Zwischenablage ist kein Bild. Kopiere zuerst eines und füge es dann ein.",
    several_title="Deine Fotos",
    several_progress="{done} von {all} Fotos",
    several_csv="Als CSV speichern",
    several_close="Liste schließen",
    several_correct="Antwort verbessern",
    several_too_many="Nur die ersten {n} Fotos wurden genommen. Sende die übrigen danach.",
    several_kept="Vermerkt.",
)
LANGUAGES: tuple[Texts, ...] = (ENGLISH, GERMAN)


def choose_language(accept_language: str) -> Texts:
    """The texts in the language that a browser likes best of those that there are, English if none.

    Args:
        accept_language: The header of that name (RFC 9110, section 12.5.4), as browsers write it: best first.
    """
    known = {texts.language: texts for texts in LANGUAGES}
    wanted = (each.partition(";")[0].strip().partition("-")[0].lower() for each in accept_language.split(","))
    return next((known[each] for each in wanted if each in known), ENGLISH)


def format_percent(probability: float) -> str:
    """A probability as a percentage; never a claim of certainty."""
    percent = 100 * probability
    if percent > _HIGHEST:
        return f"> {_HIGHEST} %"
    return f"< {_LOWEST} %" if percent < _LOWEST else format_share(probability)


def format_share(part: float) -> str:
    """A counted part of a whole as a percentage."""
    return f"{100 * part:.1f} %"
