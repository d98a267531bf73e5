"""French."""

from web.i18n.texts import Texts, typeset

_THIN, _FULL = "\N{NARROW NO-BREAK SPACE}", "\N{NO-BREAK SPACE}"
_SPACES = {
    " ?": f"{_THIN}?",
    " !": f"{_THIN}!",
    " ;": f"{_THIN};",
    " :": f"{_FULL}:",
    "« ": f"«{_FULL}",
    " »": f"{_FULL}»",
    " %": f"{_THIN}%",
}
"""No line breaks before these marks."""

_FRENCH = Texts(
    language="fr",
    own_name="Français",
    decimal_point=",",
    thousands_separator="\N{NARROW NO-BREAK SPACE}",
    percent_sign="\N{NARROW NO-BREAK SPACE}%",
    list_separator=", ",
    final_or=" ou ",
    final_and=" et ",
    title_form="{}\N{NARROW NO-BREAK SPACE}?",
    label_names=(("cat", "chat"), ("dog", "chien")),
    tagline="Montrez une photo. L'application dit ce qu'elle voit et apprend de vos corrections.",
    noscript="Cette page a besoin de JavaScript. Les programmes peuvent utiliser l'API REST.",
    language_switch="Langue",
    photo="Photo",
    drop="Choisissez des photos ou déposez-les ici",
    remove_photo="Retirer la photo",
    camera="Caméra",
    paste="Coller",
    url="Adresse d'une image",
    url_placeholder="Ou collez l'adresse d'une image",
    examples="Pas de photo sous la main ? Essayez l'une de celles-ci :",
    example_names=(("cat", "Un chat"), ("dog", "Un chien"), ("cup", "Une tasse"), ("lion", "Un lion")),
    waiting="La réponse s'affiche ici.",
    sending="Envoi de votre photo…",
    looking="Analyse de votre photo…",
    question="Est-ce exact ?",
    right="Exact",
    wrong="Incorrect",
    why="Pourquoi ?",
    why_explained="Les zones claires comptent davantage pour « {label} ». Le modèle ne voit pas le bord assombri.",
    why_alt="Carte de chaleur sur la photo",
    choose="Que montre-t-elle vraiment ?",
    choose_unsure="Que montre-t-elle ?",
    both="Les deux, ou impossible à dire",
    several="Plusieurs, ou impossible à dire",
    save_picture="Enregistrer comme image",
    thanks_right="Merci ! Bon à savoir : la réponse était exacte.",
    thanks_wrong="Merci ! Noté : « {label} ». Après vérification, le prochain modèle pourra en tenir compte.",
    thanks_unsure="Merci ! C'est noté. Le modèle n'apprend rien des photos que même un humain ne sait pas classer.",
    thanks_again="Vous nous l'avez déjà dit, et c'est enregistré. Merci !",
    being_saved="Envoyé, enregistrement en cours.",
    saved="Enregistré. Merci !",
    not_saved="Votre réponse n'a pas pu être enregistrée. Envoyez-la de nouveau.",
    taken_back="Annulé : votre réponse et notre copie de la photo sont supprimées.",
    take_back="Annuler",
    will_be_sent=(
        "Le serveur est injoignable. Votre réponse reste dans ce navigateur et sera envoyée dès que possible."
    ),
    will_be_sent_from_here=(
        "Le serveur est injoignable. Votre réponse sera envoyée dès que possible. "
        "Gardez cette page ouverte d'ici là : ce navigateur n'enregistre rien pour elle."
    ),
    unexpected="Une erreur s'est produite. Réessayez dans un instant.",
    unreachable="Le serveur est injoignable. Vérifiez votre connexion, puis réessayez.",
    try_again="Réessayer",
    not_a_picture="Ce n'est pas une image. Choisissez un fichier JPEG, PNG, WebP, AVIF, GIF ou HEIC.",
    consent=(
        "Nous ne conservons pas votre photo. Une petite copie reste en mémoire pendant {memory} "
        "minutes au maximum, pour que vous puissiez corriger la réponse. Si vous confirmez ou corrigez la réponse, "
        "nous gardons cette copie sans métadonnées, avec votre réponse, pour entraîner le prochain modèle : {kept}."
    ),
    consent_list="Ce navigateur se souvient de vos réponses, sous « {mine} », pour que vous puissiez les annuler.",
    consent_audit="Si vous cochez la case des photos au hasard, elle peut aussi être gardée à cette fin.",
    kept_here="sur ce serveur, jusqu'à ce que vous annuliez",
    kept_on_hub=(
        "dans le jeu de données des responsables, jusqu'à ce que vous annuliez, et {days} jours de plus sur ce serveur"
    ),
    problem_texts=(
        ("unreadable_image", "Cette image est illisible. Envoyez un fichier JPEG, PNG, WebP, AVIF, GIF ou HEIC."),
        ("image_too_large", "Cette image est trop grande. Envoyez une copie plus petite."),
        ("body_too_large", "Cette image est trop grande. Envoyez une copie plus petite."),
        (
            "url_refused",
            (
                "Cette adresse est injoignable ou n'est pas autorisée. Vérifiez-la, ou enregistrez l'image et envoyez "
                "le fichier."
            ),
        ),
        ("url_not_image", "Il n'y a pas d'image à cette adresse. Ouvrez l'image elle-même et copiez son adresse."),
        ("url_failed", "Aucune image n'est venue de cette adresse. Vérifiez que votre navigateur l'affiche."),
        ("unknown_request", "Cette photo n'est plus là. Choisissez-la de nouveau."),
        ("rate_limited", "Trop de demandes. Réessayez dans une minute."),
        ("busy", "Il y a beaucoup de demandes en ce moment. Réessayez dans un instant."),
        ("no_model", "Aucun modèle n'est encore prêt. Réessayez dans une minute."),
        ("feedback_failed", "Votre réponse n'a pas pu être enregistrée. Envoyez-la de nouveau."),
    ),
    audit=(
        "De temps en temps, l'une de mes photos peut être gardée au hasard : une petite copie sans métadonnées, "
        "qu'une personne regarde pour mesurer combien de réponses sont exactes."
    ),
    audited="Cette photo a été gardée au hasard, avec votre accord.",
    api="API REST",
    model="Modèle : {model_id} ({revision})",
    neither_of_two="Ni {0} ni {1}",
    none_of_these="Rien de tout cela",
    not_sure="Pas sûr",
    sure="sûr à {percent}",
    closest="Le plus proche : {label} ({percent}).",
    a_guess="Probablement {label} ({percent}), mais c'est une supposition.",
    about="À propos de ce modèle",
    about_accuracy="Sur {n} photos de test jamais vues, il a eu raison dans {accuracy} des cas{interval}.",
    about_interval=" (intervalle à 95 % : {low} à {high})",
    about_answered="Il a donné une réponse nette pour {answered} d'entre elles, exacte dans {accuracy} des cas.",
    about_no_metrics="Ce modèle n'indique pas comment il a été testé.",
    about_learned="Il a appris de {n} corrections de visiteurs.",
    about_limits=(
        "Il ne connaît que {labels} et donne une seule étiquette par photo. Les dessins, les gros plans et les petits "
        "sujets sont plus difficiles. {others}"
    ),
    about_others="Tout autre sujet peut aussi recevoir l'une de ces étiquettes.",
    about_turned_away="Il reconnaît la plupart des autres images, mais pas toutes, et répond « {neither} ».",
    about_revision="Révision",
    about_plot="Quand il dit 80 %, a-t-il raison 80 % du temps ? Calibration sur les photos de test :",
    about_plot_alt="Calibration : la fréquence à laquelle le modèle a raison, selon sa certitude",
    camera_close="Fermer la caméra",
    camera_switch="Changer de caméra",
    camera_snap="Prendre la photo",
    camera_live="En direct",
    camera_insecure=(
        "Les navigateurs n'autorisent la caméra que sur les pages en https, ou sur cet ordinateur (localhost). Ouvrez "
        "cette page à une adresse qui commence par https://, ou choisissez une photo."
    ),
    camera_refused="Le navigateur n'a pas autorisé la caméra. Autorisez-la pour cette page dans ses réglages.",
    camera_missing="Aucune caméra trouvée. Branchez-en une, ou choisissez une photo.",
    camera_in_use="Un autre programme utilise la caméra. Fermez-le, puis réessayez.",
    camera_slow="Il y a beaucoup de monde : les réponses en direct sont plus lentes.",
    paste_nothing="Il n'y a pas d'image dans le presse-papiers. Copiez-en une, puis collez-la.",
    paste_by_keys=(
        "Ce navigateur ne laisse lire le presse-papiers qu'en https. Appuyez plutôt sur Ctrl+V (⌘V sur un Mac)."
    ),
    several_title="Vos photos",
    several_progress="{done} photos sur {all}",
    several_csv="Enregistrer en CSV",
    several_close="Fermer la liste",
    several_correct="Corriger l'étiquette",
    several_too_many="Seules les {n} premières photos ont été prises. Envoyez les autres ensuite.",
    several_kept="Noté.",
    several_all="Toutes",
    several_sure_first="Les plus sûres d'abord",
    several_unsure_first="Les moins sûres d'abord",
    close="Fermer",
    several_order="Ordre",
    mine_title="Mes réponses",
    mine_note="Dans ce navigateur seulement. « Annuler » supprime aussi la réponse et la photo du serveur.",
    mine_said="Vous avez dit : {label}",
    mine_undo="Annuler",
    mine_clear="Vider cette liste",
    mine_saved="enregistré",
    mine_received="enregistrement en cours",
    mine_waiting="en attente d'envoi",
    mine_failed="n'a pas pu être enregistré",
)
FRENCH = typeset(_FRENCH, _SPACES)
