"""Kustomize's output for the few features that the manifests use, so that a check needs no binary of it.

`resources` (files and folders), `namespace`, `images` and `patches` of whole files, merged as Kubernetes merges:
mappings key by key, lists of things with a `name` by that name, every other list replaced. Whatever else a
kustomization.yaml may say is refused rather than skipped. A test compares the output with that of `kubectl kustomize`.
"""

import json
from pathlib import Path
from typing import Any

import yaml

from feature_repo.core.errors import RecommenderError

Manifest = dict[str, Any]

HEAD = {"apiVersion", "kind"}
KNOWN = HEAD | {"resources", "namespace", "images", "patches"}
# Kinds of the manifests that live outside any namespace.
CLUSTER_WIDE = frozenset({"Namespace", "ClusterRole", "ClusterRoleBinding"})


class RenderError(RecommenderError):
    """A kustomization cannot be rendered."""


def render(folder: Path) -> list[Manifest]:
    """All objects of a kustomization, in the order in which its files name them.

    Raises:
        RenderError: a file is missing or no YAML, a key is not known here, or a patch meets no object.
    """
    said = _kustomization(folder)
    objects = [found for name in said.get("resources", ()) for found in _resource(folder / str(name))]
    for patch in said.get("patches", ()):
        objects = _patched(objects, folder, patch)
    for image in said.get("images", ()):
        _rename(objects, image, folder)
    if namespace := said.get("namespace"):
        _move(objects, str(namespace))
    return objects


def load_all(path: Path) -> list[Manifest]:
    """The documents of one YAML file.

    Raises:
        RenderError: it cannot be read, or holds something else than mappings.
    """
    try:
        documents = [found for found in yaml.safe_load_all(path.read_text(encoding="utf-8")) if found is not None]
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RenderError(f"{path.name}: expected a readable YAML file; got {' '.join(str(error).split())}") from None
    if odd := next((found for found in documents if not isinstance(found, dict)), None):
        raise RenderError(f"{path.name}: expected mappings; got {odd!r}")
    # YAML's aliases are one object in several places; a change of one place must not be one of all.
    copied: list[Manifest] = json.loads(json.dumps(documents))
    return copied


def merged(old: Any, new: Any) -> Any:
    """`new` laid over `old`; null removes a key."""
    if isinstance(old, dict) and isinstance(new, dict):
        both = {**old, **{key: merged(old.get(key), value) for key, value in new.items()}}
        return {key: value for key, value in both.items() if value is not None}
    if _named(old) and _named(new):
        over = {one["name"]: one for one in new}
        kept = [merged(one, over.pop(one["name"], {})) for one in old]
        return [*kept, *over.values()]
    return new


def _named(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) and "name" in one for one in value)


def _kustomization(folder: Path) -> Manifest:
    said = load_all(folder / "kustomization.yaml")
    if len(said) != 1:
        raise RenderError(f"{folder.name}/kustomization.yaml: expected one document; got {len(said)}")
    if unknown := sorted(said[0].keys() - KNOWN):
        raise RenderError(f"{folder.name}/kustomization.yaml: expected {sorted(KNOWN - HEAD)}; got {unknown}")
    return said[0]


def _resource(path: Path) -> list[Manifest]:
    return render(path) if path.is_dir() else load_all(path)


def _patched(objects: list[Manifest], folder: Path, patch: Manifest) -> list[Manifest]:
    if set(patch) != {"path"}:
        raise RenderError(f"{folder.name}/kustomization.yaml: expected patches with a path only; got {sorted(patch)}")
    for change in load_all(folder / str(patch["path"])):
        at = [i for i, one in enumerate(objects) if key_of(one) == key_of(change)]
        if len(at) != 1:
            raise RenderError(f"{patch['path']}: expected one object {key_of(change)} to patch; got {len(at)}")
        objects = [merged(one, change) if i in at else one for i, one in enumerate(objects)]
    return objects


def key_of(manifest: Manifest) -> tuple[str, str, str]:
    """API version, kind and name."""
    return str(manifest["apiVersion"]), str(manifest["kind"]), str(manifest["metadata"]["name"])


def _rename(objects: list[Manifest], image: Manifest, folder: Path) -> None:
    if unknown := sorted(image.keys() - {"name", "newName", "newTag"}):
        raise RenderError(f"{folder.name}/kustomization.yaml: expected name, newName, newTag of images; got {unknown}")
    for container in (found for one in objects for found in containers_in(one)):
        name, _, tag = str(container["image"]).partition(":")
        if name == image["name"]:
            container["image"] = f"{image.get('newName', name)}:{image.get('newTag', tag)}"


def containers_in(value: Any) -> list[Manifest]:
    """Every container of an object, wherever its pod template is."""
    if isinstance(value, list):
        return [found for one in value for found in containers_in(one)]
    if not isinstance(value, dict):
        return []
    here = [one for key in ("initContainers", "containers") for one in value.get(key) or ()]
    return [*here, *(found for one in value.values() if isinstance(one, dict) for found in containers_in(one))]


def _move(objects: list[Manifest], namespace: str) -> None:
    for one in objects:
        if one["kind"] not in CLUSTER_WIDE:
            one["metadata"]["namespace"] = namespace
        for subject in one.get("subjects", ()):
            if subject["kind"] == "ServiceAccount":  # as Kustomize does for accounts that are here
                subject["namespace"] = namespace
