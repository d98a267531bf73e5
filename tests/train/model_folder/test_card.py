from pathlib import Path

from huggingface_hub import ModelCard

from catdog.model.metadata import load_metadata
from catdog.settings import EMBEDDED_MODEL
from train.model_folder.card import render_card


def test_the_card_gives_the_numbers_of_the_metadata(trained: Path) -> None:
    card = ModelCard((trained / "README.md").read_text())
    metrics = load_metadata(trained).metrics["test"]
    results = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert results["accuracy"] == round(metrics["accuracy"], 5)
    assert results["log_loss"] == round(metrics["log_loss"], 5)
    assert f"| test | {metrics['n']} | {100 * metrics['accuracy']:.2f}%" in card.text


def test_tables_are_unbroken_markdown(trained: Path) -> None:
    lines = (trained / "README.md").read_text().splitlines()
    tables = "\n".join(lines).split("\n\n")
    for block in (block for block in tables if block.startswith("|")):
        rows = block.splitlines()
        assert len(rows) > 2, block
        assert len({row.count("|") for row in rows}) == 1, block


def test_the_card_names_data_labels_and_licence(trained: Path) -> None:
    text = (trained / "README.md").read_text()
    for word in ("amber", "jade", "plum", "`tints`", "near-duplicates", "Seed 1"):
        assert word in text
    assert "None" not in text.replace("[None]", "")
    assert "\n\n\n" not in text


def test_the_card_claims_a_licence_and_calibration_only_as_far_as_somebody_said_or_measured(trained: Path) -> None:
    metadata = load_metadata(trained)
    text = render_card(metadata)
    assert ModelCard(text).data.license is None
    assert "Apache" not in text
    assert "No licence was stated" in text
    assert f"off by {100 * metadata.metrics['test']['ece']:.2f}%" in text
    licensed = metadata.model_copy(update={"training": {**metadata.training, "license": "mit"}, "metrics": {}})
    text = render_card(licensed)
    assert ModelCard(text).data.license == "mit"
    assert "under the MIT licence" in text
    assert "calibrat" not in text.split("## Use it")[0]


def test_on_the_hub_the_examples_use_the_repository(trained: Path) -> None:
    text = render_card(load_metadata(trained), repo_id="someone/tints")
    assert "hf_hub:someone/tints" in text
    assert "local-dir" not in text


def test_a_model_that_was_not_scored_says_so(trained: Path) -> None:
    text = render_card(load_metadata(trained).model_copy(update={"metrics": {}}))
    assert "has not been evaluated" in text


def test_the_card_of_the_embedded_model_says_what_it_learned_from() -> None:
    card = (EMBEDDED_MODEL / "README.md").read_text()
    assert card == render_card(load_metadata(EMBEDDED_MODEL))
    assert "Taught by `tf_efficientnet_lite2" in card
    assert "over all splits it replaces 2 and leaves out 15 pictures" in card
    assert "as they are, in training" not in card


def test_the_card_of_a_mean_says_what_its_networks_learned_from(trained: Path) -> None:
    metadata = load_metadata(trained)
    overlay = {"name": "mended.csv", "relabelled": 2, "dropped": 15}
    taught = {"teacher": "big.safetensors", "architecture": "big_net", "side": 224, "views": 6, "share": 0.7}
    members = [{"overlay": overlay, "settings": {"distillation": taught}}, *[{"overlay": None, "settings": {}}] * 2]
    data = {**metadata.training["data"], "name": "cats_vs_dogs"}
    training = {**metadata.training, "data": data, "recipe": "soup", "settings": {"members": members}}
    mean = metadata.model_copy(update={"training": training})
    card = render_card(mean)
    assert "1 of the\n  3 averaged networks were trained with labels corrected by `mended.csv` (2 replaced, 15" in card
    assert "Taught (1 of the 3 networks) by `big.safetensors` (`big_net`, 224 pixels)" in card


def test_a_template_among_the_metadata_stays_text(trained: Path) -> None:
    code = "{{ 7 * 7191 }}{% for x in metadata %}x{% endfor %}"
    metadata = load_metadata(trained).model_copy(update={"labels": (code, "jade", "plum"), "architecture": code})
    text = render_card(metadata, repo_id="someone/tints")
    assert code in text
    assert "50337" not in text  # 7 * 7191
    assert code in ModelCard(text).data.tags
