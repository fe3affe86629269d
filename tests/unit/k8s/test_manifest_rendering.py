"""Rendering does what Kustomize does with the features that we use, and refuses the others."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from k8s.lint.known import MANIFESTS
from k8s.lint.render import RenderError, key_of, merged, render

KUBECTL = shutil.which("kubectl")


@pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")
@pytest.mark.parametrize("overlay", ["dev", "production"])
def test_an_overlay_renders_as_kustomize_renders_it(overlay: str) -> None:
    folder = MANIFESTS / "overlays" / overlay

    done = subprocess.run([str(KUBECTL), "kustomize", str(folder)], capture_output=True, text=True, check=True)

    theirs = list(yaml.safe_load_all(done.stdout))
    assert sorted(render(folder), key=key_of) == sorted(theirs, key=key_of)


def test_lists_of_named_things_are_merged_by_name_and_null_removes() -> None:
    old = {"a": [{"name": "x", "b": 1}, {"name": "y"}], "c": [1, 2], "d": 1}

    new = merged(old, {"a": [{"name": "x", "b": 2}, {"name": "z"}], "c": [3], "d": None})

    assert new == {"a": [{"name": "x", "b": 2}, {"name": "y"}, {"name": "z"}], "c": [3]}


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"commonLabels": {"a": "b"}}, "got \\['commonLabels'\\]"),
        ({"resources": ["gone.yaml"]}, "gone.yaml: expected a readable YAML file"),
        ({"resources": ["list.yaml"]}, "list.yaml: expected mappings"),
        ({"patches": [{"patch": "- op: remove"}]}, "patches with a path only"),
        ({"patches": [{"path": "patch.yaml"}]}, "expected one object .* to patch; got 0"),
        ({"images": [{"name": "a", "digest": "sha256:0"}]}, "newName, newTag of images; got \\['digest'\\]"),
    ],
)
def test_what_rendering_does_not_know_is_refused(said: dict[str, object], sentence: str, tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text(json.dumps(said))
    (tmp_path / "list.yaml").write_text("- 1\n")
    (tmp_path / "patch.yaml").write_text("{apiVersion: v1, kind: Service, metadata: {name: nobody}}\n")

    with pytest.raises(RenderError, match=sentence):
        render(tmp_path)


def test_a_kustomization_is_one_document(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("")

    with pytest.raises(RenderError, match="expected one document; got 0"):
        render(tmp_path)
