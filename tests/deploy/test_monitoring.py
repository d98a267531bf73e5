"""Prometheus' and Grafana's files: valid, about metrics that exist, and each alert speaks when it should."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.conftest import ROOT
from tests.deploy.test_image import checked
from tests.toy import encoded, picture
from tests.web.conftest import Server, wait_for
from web.metrics import gauges

MONITORING = ROOT / "deploy" / "monitoring"
GRAFANA = MONITORING / "grafana"
ALERT_TESTS = ROOT / "tests" / "deploy" / "alerts_test.yml"
_OTHERS = {"up"}  # Prometheus' own


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GRAFANA / "dashboard.json").read_text())
    return found


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard_queries() -> list[str]:
    shown = dashboard()
    panels = [target["expr"] for panel in shown["panels"] for target in panel.get("targets", ())]
    notes = [note["expr"] for note in shown["annotations"]["list"]]
    variables = [
        re.sub(r"label_values\((.+), \w+\)", r"\1", each["definition"]) for each in shown["templating"]["list"]
    ]
    return [*panels, *notes, *variables]


def metrics_in(queries: list[str]) -> set[str]:
    return set(re.findall(r"\b(?:catdog|process)_\w+|\bup\b", " ".join(queries))) - _OTHERS


def test_promtool_accepts_the_configuration_and_the_rules_that_it_names() -> None:
    checked("promtool", "check", "config", str(MONITORING / "prometheus.yml"))


def test_every_alert_fires_when_it_should_and_not_when_all_is_well() -> None:
    checked("promtool", "test", "rules", str(ALERT_TESTS))
    fired = ALERT_TESTS.read_text().split("no alert speaks")[1]
    for rule in rules():
        assert re.search(rf"\b{rule['alert']}\b", fired), f"no test lets {rule['alert']} fire"


def test_every_alert_says_what_happened_and_what_to_do() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning"), rule["alert"]
        assert {"summary", "description"} == rule["annotations"].keys(), rule["alert"]


def test_promtool_understands_every_query_of_the_dashboard(tmp_path: Path) -> None:
    queries = [query.replace("$__rate_interval", "1m") for query in dashboard_queries()]
    assert len(queries) > 20
    recorded = [{"record": f"panel:{index}", "expr": query} for index, query in enumerate(queries)]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]}))
    checked("promtool", "check", "rules", "--lint=none", str(path))


def test_every_metric_of_dashboard_and_alerts_is_one_of_the_running_app(server: Server) -> None:
    named = metrics_in([*dashboard_queries(), *(rule["expr"] for rule in rules())])
    assert len(named) > 20
    # Drift is told only of a model with a reference, and after many pictures.
    source = Path(str(gauges.__file__)).read_text()
    drift = {name for name in named if name.startswith("catdog_drift_")}
    assert drift <= set(re.findall(r'"(\w+)"', source))
    with httpx.Client(base_url=server.url, timeout=60) as client:
        answer = client.post("/predict", files={"file": encoded(picture("red"))}).json()
        client.post("/feedback", json={"request_id": answer["request_id"], "label": "blue"}).raise_for_status()
        client.post("/predict", files={"file": b"text"})

        def samples() -> set[str]:
            return set(re.findall(r"^(\w+)", client.get("/metrics").text, re.MULTILINE))

        # The journal's counts may be a second old.
        wait_for(lambda: named - drift <= samples(), f"all of {named - drift - samples()}", deadline_s=20)


def test_panels_have_places_and_numbers_of_their_own() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (panel["gridPos"]["x"] + dx, panel["gridPos"]["y"] + dy)
        for panel in panels
        for dx in range(panel["gridPos"]["w"])
        for dy in range(panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_grafana_finds_its_data_source_and_its_dashboard_where_compose_puts_them() -> None:
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    used = {panel["datasource"]["uid"] for panel in dashboard()["panels"] if "datasource" in panel}
    assert used == {source["uid"]}
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/catdog.yml").read_text())["providers"]
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    mounts = [mount.split(":") for mount in services["grafana"]["volumes"]]
    assert f"{provider['options']['path']}/dashboard.json" in [mount[1] for mount in mounts]
    assert source["url"] == "http://prometheus:9090"


@pytest.mark.parametrize("service", ["prometheus", "grafana"])
def test_every_file_that_compose_mounts_is_there(service: str) -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    mounted = [mount.split(":")[0] for mount in services[service]["volumes"] if mount.startswith("./")]
    assert mounted
    for path in mounted:
        assert (ROOT / path).exists(), path


def test_prometheus_asks_the_app_of_compose_under_the_name_that_the_alerts_use() -> None:
    jobs = yaml.safe_load((MONITORING / "prometheus.yml").read_text())["scrape_configs"]
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in jobs}
    assert targets["catdog"] == ["app:7860"]
