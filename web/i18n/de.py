"""German."""

from web.i18n.texts import Texts

GERMAN = Texts(
    language="de",
    own_name="Deutsch",
    decimal_point=",",
    thousands_separator=".",
    percent_sign="\N{NO-BREAK SPACE}%",
    list_separator=", ",
    final_or=" oder ",
    final_and=" und ",
    title_form="{}?",
    label_names=(("cat", "Katze"), ("dog", "Hund")),
    tagline="Zeig ein Foto: Die App sagt, was sie sieht, und lernt dazu, wenn du sie korrigierst.",
    noscript="Diese Seite braucht JavaScript. Programme können stattdessen die REST-API nutzen.",
    language_switch="Sprache",
    photo="Foto",
    drop="Fotos auswählen oder hier ablegen",
    remove_photo="Foto entfernen",
    camera="Kamera",
    paste="Einfügen",
    url="Bildadresse",
    url_placeholder="Oder die Adresse eines Bildes einfügen",
    examples="Kein Foto zur Hand? Nimm eines von diesen:",
    example_names=(("cat", "Eine Katze"), ("dog", "Ein Hund"), ("cup", "Eine Tasse"), ("lion", "Ein Löwe")),
    waiting="Hier erscheint die Antwort.",
    sending="Dein Foto wird gesendet …",
    looking="Dein Foto wird angesehen …",
    question="Stimmt das?",
    right="Stimmt",
    wrong="Falsch",
    why="Warum?",
    why_explained="Hellere Stellen sprechen mehr für „{label}“. Den dunklen Rand sieht das Modell nicht.",
    why_alt="Heatmap über dem Foto",
    choose="Was ist wirklich zu sehen?",
    choose_unsure="Was ist zu sehen?",
    both="Beides, oder nicht zu erkennen",
    several="Mehreres, oder nicht zu erkennen",
    save_picture="Als Bild speichern",
    thanks_right="Danke! Gut zu wissen, dass es stimmt.",
    thanks_wrong="Danke! Vermerkt als „{label}“. Nach der Prüfung kann das nächste Modell daraus lernen.",
    thanks_unsure="Danke! Vermerkt. Aus Fotos, die auch Menschen nicht erkennen, wird nicht gelernt.",
    thanks_again="Das hast du schon gesagt, und es ist gespeichert. Danke!",
    being_saved="Gesendet, wird gespeichert.",
    saved="Gespeichert. Danke!",
    not_saved="Deine Antwort konnte nicht gespeichert werden. Sende sie noch einmal.",
    taken_back="Rückgängig gemacht: Deine Antwort und unsere Kopie des Fotos sind gelöscht.",
    take_back="Rückgängig",
    will_be_sent=(
        "Der Server ist nicht erreichbar. Deine Antwort bleibt in diesem Browser und wird gesendet, sobald es geht."
    ),
    will_be_sent_from_here=(
        "Der Server ist nicht erreichbar. Deine Antwort wird gesendet, sobald es geht. "
        "Lass die Seite bis dahin offen: Dieser Browser speichert nichts für sie."
    ),
    unexpected="Etwas ist schiefgegangen. Versuche es gleich noch einmal.",
    unreachable="Der Server ist nicht erreichbar. Prüfe die Verbindung und versuche es noch einmal.",
    try_again="Noch einmal versuchen",
    not_a_picture="Das ist kein Bild. Wähle eine JPEG-, PNG-, WebP-, AVIF-, GIF- oder HEIC-Datei.",
    consent=(
        "Wir speichern dein Foto nicht. Eine kleine Kopie bleibt bis zu {memory} Minuten im "
        "Arbeitsspeicher, damit du die Antwort korrigieren kannst. Wenn du die Antwort bestätigst oder korrigierst, "
        "behalten wir diese Kopie ohne Metadaten, zusammen mit deiner Antwort, um das nächste Modell zu trainieren: "
        "{kept}."
    ),
    consent_list="Dieser Browser merkt sich deine Antworten unter „{mine}“, damit du sie rückgängig machen kannst.",
    consent_audit="Wenn du der zufälligen Auswahl zugestimmt hast, behalten wir sie vielleicht auch dafür.",
    kept_here="auf diesem Server, bis du es rückgängig machst",
    kept_on_hub=("im Datensatz der Betreiber, bis du es rückgängig machst, und {days} weitere Tage auf diesem Server"),
    problem_texts=(
        (
            "unreadable_image",
            "Dieses Bild ist nicht lesbar. Sende eine JPEG-, PNG-, WebP-, AVIF-, GIF- oder HEIC-Datei.",
        ),
        ("image_too_large", "Dieses Bild ist zu groß. Sende eine kleinere Kopie."),
        ("body_too_large", "Dieses Bild ist zu groß. Sende eine kleinere Kopie."),
        (
            "url_refused",
            (
                "Diese Adresse ist nicht erreichbar oder nicht erlaubt. Prüfe sie, oder speichere das Bild und sende "
                "die Datei."
            ),
        ),
        ("url_not_image", "Unter dieser Adresse ist kein Bild. Öffne dort das Bild selbst und kopiere seine Adresse."),
        ("url_failed", "Von dieser Adresse kam kein Bild. Sieh nach, ob dein Browser es anzeigt."),
        ("unknown_request", "Dieses Foto ist nicht mehr da. Wähle es noch einmal aus."),
        ("rate_limited", "Das waren zu viele Anfragen. Versuche es in einer Minute noch einmal."),
        ("busy", "Gerade ist sehr viel los. Versuche es gleich noch einmal."),
        ("no_model", "Noch ist kein Modell bereit. Versuche es in einer Minute noch einmal."),
        ("feedback_failed", "Deine Antwort konnte nicht gespeichert werden. Sende sie noch einmal."),
    ),
    audit=(
        "Ab und zu darf eines meiner Fotos zufällig ausgewählt und behalten werden: eine kleine Kopie ohne Metadaten, "
        "die sich ein Mensch ansieht, um herauszufinden, wie oft die Antworten stimmen."
    ),
    audited="Dieses Foto wurde zufällig ausgewählt und behalten, wie du es erlaubt hast.",
    api="REST-API",
    model="Modell: {model_id} ({revision})",
    neither_of_two="Weder {0} noch {1}",
    none_of_these="Nichts davon",
    not_sure="Nicht sicher",
    sure="zu {percent} sicher",
    closest="Am ähnlichsten: {label} ({percent}).",
    a_guess="Wahrscheinlich {label} ({percent}), aber das ist geraten.",
    about="Über dieses Modell",
    about_accuracy="Bei {n} Testfotos, die es nie gesehen hatte, lag es in {accuracy} der Fälle richtig{interval}.",
    about_interval=" (95-%-Intervall: {low} bis {high})",
    about_answered="Bei {answered} davon gab es eine eindeutige Antwort; {accuracy} davon waren richtig.",
    about_no_metrics="Dieses Modell sagt nicht, wie es geprüft wurde.",
    about_learned="Es hat aus {n} Korrekturen von Besuchern gelernt.",
    about_limits=(
        "Es kennt nur {labels} und nennt ein Label je Foto. Zeichnungen, Nahaufnahmen und kleine Motive sind "
        "schwieriger. {others}"
    ),
    about_others="Auch alles andere kann eines dieser Labels bekommen.",
    about_turned_away="Die meisten anderen Bilder, aber nicht alle, erkennt es als „{neither}“.",
    about_revision="Version",
    about_plot="Wenn es 80 % sagt, hat es dann in 80 % der Fälle recht? Kalibrierung auf den Testfotos:",
    about_plot_alt="Kalibrierung: wie oft das Modell recht hat, je nachdem, wie sicher es sich ist",
    camera_close="Kamera schließen",
    camera_switch="Kamera wechseln",
    camera_snap="Foto aufnehmen",
    camera_live="Live",
    camera_insecure=(
        "Browser erlauben die Kamera nur auf Seiten über https oder auf diesem Rechner (localhost). Öffne diese Seite "
        "mit einer Adresse, die mit https:// beginnt, oder wähle ein Foto aus."
    ),
    camera_refused="Der Browser hat die Kamera nicht erlaubt. Erlaube sie für diese Seite in seinen Einstellungen.",
    camera_missing="Keine Kamera gefunden. Schließe eine an oder wähle ein Foto aus.",
    camera_in_use="Ein anderes Programm benutzt die Kamera. Schließe es und versuche es noch einmal.",
    camera_slow="Gerade ist sehr viel los: Die Live-Antworten kommen langsamer.",
    paste_nothing="In der Zwischenablage ist kein Bild. Kopiere zuerst eines und füge es dann ein.",
    paste_by_keys=(
        "Dieser Browser lässt Seiten die Zwischenablage nur über https lesen. Drücke stattdessen Strg+V (⌘V am Mac)."
    ),
    several_title="Deine Fotos",
    several_progress="{done} von {all} Fotos",
    several_csv="Als CSV speichern",
    several_close="Liste schließen",
    several_correct="Label korrigieren",
    several_too_many="Nur die ersten {n} Fotos wurden genommen. Sende die übrigen danach.",
    several_kept="Vermerkt.",
    several_all="Alle",
    several_sure_first="Sicherste zuerst",
    several_unsure_first="Unsicherste zuerst",
    close="Schließen",
    several_order="Reihenfolge",
    mine_title="Meine Antworten",
    mine_note="Nur in diesem Browser gespeichert. „Rückgängig“ löscht Antwort und Foto auch auf dem Server.",
    mine_said="Du hast gesagt: {label}",
    mine_undo="Rückgängig",
    mine_clear="Liste leeren",
    mine_saved="gespeichert",
    mine_received="wird gespeichert",
    mine_waiting="noch nicht gesendet",
    mine_failed="konnte nicht gespeichert werden",
)
