"""The script behind `make shape` sees what it is there to see."""

from pathlib import Path

from scripts.shape import ROOT, measure, read_modules

SHORT = '"""A module."""\n'
SQL = 'QUERY = "SELECT id FROM rows"\n'


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "app.py").write_text("import web.app\n" * 70)
    return root


def rows(root: Path, readme: str = "") -> dict[str, float]:
    return {row.what: row.value for row in measure(read_modules(root), readme)}


def test_folders_that_import_each_other_are_a_cycle(tmp_path: Path) -> None:
    root = write(tmp_path, {
        "web/app.py": "from web.page.layout import x\n" * 2,
        "web/page/layout.py": "from web.api.routes import y\n" * 2,
        "web/api/routes.py": "def f():\n    from web.page.layout import x\n",
    })  # fmt: skip
    assert rows(root)["import cycles between folders"] == 1
    (root / "web/api/routes.py").write_text("y = 1\n" * 2)
    assert rows(root)["import cycles between folders"] == 0


def test_sql_and_the_hub_clients_errors_belong_to_one_place_each(tmp_path: Path) -> None:
    hub = "from huggingface_hub.errors import HfHubHTTPError\nimport httpx2\n"
    root = write(tmp_path, {
        "feedback/journal/tables.py": SQL * 2, "feedback/stats.py": SQL * 2, "catdog/hub/client.py": hub, "train/source.py": hub,
    })  # fmt: skip
    found = rows(root)
    assert found["modules with SQL outside feedback/journal"] == 1
    assert found["modules that handle the Hub client's errors"] == 2


def test_crowded_folders_short_modules_and_long_readmes_are_counted(tmp_path: Path) -> None:
    root = write(tmp_path, {f"web/page/part{number}.py": SHORT * 2 for number in range(17)})
    found = rows(root, "word " * 1501)
    assert found["most Python files in one folder"] == 17
    assert found["modules of 60 lines or fewer"] > 90
    assert found["words in README.md"] == 1501


def test_the_layout_keeps_its_limits() -> None:
    assert [row.what for row in measure(read_modules(), (ROOT / "README.md").read_text("utf-8")) if not row.holds] == []
