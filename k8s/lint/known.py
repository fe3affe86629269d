"""What the manifests are held against: the service's settings and paths, the commands, what others make.

A release never imports the service, so its settings and paths are read from its source text.
"""

import ast
from pathlib import Path
from typing import Any

from feature_repo.core.errors import RecommenderError
from feature_repo.core.workspace import PROJECT
from k8s.lint.problem import Known

MANIFESTS = Path(__file__).resolve().parents[1] / "manifests"


class UnknownSource(RecommenderError):
    """A source file does not say what is looked for in it."""


def known() -> Known:
    """Everything that holds outside the manifests, read from the code beside them."""
    from k8s.controller.probes import PATHS

    return Known(
        settings=serve_settings(PROJECT / "serving" / "settings.py"),
        served={
            "serving": served_paths(PROJECT / "serving"),
            "k8s controller": PATHS,
            "monitoring export": frozenset({"/metrics"}),
        },
        external=tuple(external(MANIFESTS / "external.yaml")),
    )


def external(path: Path) -> list[dict[str, Any]]:
    """What external.yaml declares to be made by somebody else: kind, name, and for Secrets the keys."""
    import yaml

    found: list[dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def serve_settings(source: Path) -> frozenset[str]:
    """SERVE_<FIELD> for each field of ServingSettings.

    Raises:
        UnknownSource: there is no such class in the file.
    """
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef) and node.name == "ServingSettings":
            fields = [one.target for one in node.body if isinstance(one, ast.AnnAssign)]
            return frozenset(f"SERVE_{name.id.upper()}" for name in fields if isinstance(name, ast.Name))
    raise UnknownSource(f"expected a class ServingSettings in {source.name}; got none")


def served_paths(folder: Path) -> frozenset[str]:
    """Paths that a serving process answers to GET: its routes, and those that are open to everybody.

    Raises:
        UnknownSource: a file names no path.
    """
    routes = _gets(folder / "app.py")
    open_paths = _texts(folder / "operations" / "guard.py", "OPEN_PATHS")
    if not routes or not open_paths:
        raise UnknownSource(f"expected paths in app.py and guard.py; got {sorted(routes)} and {sorted(open_paths)}")
    return frozenset(routes | open_paths)


def _gets(source: Path) -> set[str]:
    calls = [node for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    named = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Route" and call.args]
    asked = [call for call in named if "POST" not in {c.value for c in ast.walk(call) if isinstance(c, ast.Constant)}]
    return {str(call.args[0].value) for call in asked if isinstance(call.args[0], ast.Constant)}


def _texts(source: Path, constant: str) -> set[str]:
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == constant for t in node.targets):
            return {str(one.value) for one in ast.walk(node.value) if isinstance(one, ast.Constant)}
    return set()
