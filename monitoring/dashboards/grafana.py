"""Dashboards in Grafana's JSON, made from boards.py; Grafana imports the files as they are.

After Grafana's documented JSON model: every panel has an id and a place on a grid 24 wide. The data source is a
variable, so one file serves any Grafana that has a Prometheus.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monitoring.dashboards.boards import BOARDS, Board, Panel

SCHEMA_VERSION = 39  # that of Grafana 10.4 and 11.0; newer ones migrate it
GRID, HEIGHT = 24, 8
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


def dashboard(board: Board) -> dict[str, Any]:
    """One dashboard."""
    return {
        "uid": board.uid,
        "title": board.title,
        "description": board.about,
        "tags": ["recommender"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
        },
        "annotations": {"list": [_firing()]},
        "panels": _panels(board.panels),
    }


def write_dashboards(folder: Path) -> tuple[Path, ...]:
    """Write a file for each dashboard; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for board in BOARDS:
        path = folder / f"{board.uid}.json"
        path.write_text(json.dumps(dashboard(board), indent=2) + "\n", encoding="utf-8")
        paths.append(path)
    return tuple(paths)


def _panels(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """Panels with ids and places: counts take a quarter of the width, courses a half; rows are filled in order."""
    placed: list[dict[str, Any]] = []
    x = y = 0
    for number, panel in enumerate(panels, 1):
        width = GRID // 4 if panel.counts else GRID // 2
        if x + width > GRID:
            x, y = 0, y + HEIGHT
        placed.append(_panel(panel, number, {"x": x, "y": y, "w": width, "h": HEIGHT}))
        x += width
    return placed


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + at), "expr": query.expr, "legendFormat": query.legend, "datasource": DATASOURCE}
        for at, query in enumerate(panel.queries)
    ]
    options: dict[str, Any] = (
        {"reduceOptions": {"calcs": ["lastNotNull"]}, "textMode": "value_and_name"}
        if panel.counts
        else {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
    )
    return {
        "id": number,
        "type": "stat" if panel.counts else "timeseries",
        "title": panel.title,
        "description": panel.about,
        "datasource": DATASOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": options,
        "targets": targets,
    }


def _firing() -> dict[str, Any]:
    """Alerts that fire stand in every course as a mark."""
    expr = 'ALERTS{alertstate="firing"}'
    named = {"name": "alerts", "titleFormat": "{{alertname}}", "iconColor": "red", "enable": True}
    return {**named, "datasource": DATASOURCE, "expr": expr, "step": "60s"}
