import json
import subprocess
import sys
from pathlib import Path

from serving.bento import requirements
from serving.settings import CODE_ROOT
from serving.sources import needed_files


def test_imports_are_followed_through_packages_functions_and_types(tmp_path: Path) -> None:
    files = {
        "a/__init__.py": "",
        "a/main.py": "import os\nfrom a.one import x\ndef f():\n    from a import two\n",
        "a/one.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from a.typed import T\n",
        "a/two.py": "import b.deep\n",
        "a/typed.py": "",
        "a/unused.py": "",
        "b/__init__.py": "",
        "b/deep.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    found = {path.as_posix() for path in needed_files(tmp_path, "a.main")}

    assert found == {"a/__init__.py", "a/main.py", "a/one.py", "a/two.py", "b/__init__.py", "b/deep.py"}


def test_serving_needs_of_training_only_what_reads_a_bundle() -> None:
    found = {path.as_posix() for path in needed_files(CODE_ROOT, "serving.service")}

    assert {"training/bundle.py", "training/recommender.py", "serving/app.py"} <= found
    assert not [name for name in found if name.startswith(("training/ranking", "training/search", "monitoring", "k8s"))]
    assert not {f"training/{name}.py" for name in ("registry", "retrieval/two_tower", "retrieval/learn")} & found


def test_importing_the_service_loads_nothing_heavy() -> None:
    script = "import json, sys, serving.service; print(json.dumps(list(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)

    loaded = set(json.loads(result.stdout))
    assert not loaded & {"feast", "xgboost", "onnxruntime", "tensorflow", "mlflow", "pandas"}


def test_a_bento_asks_for_the_serving_group_and_nothing_of_training() -> None:
    names = {text.partition(">")[0].partition("<")[0].partition("[")[0] for text in requirements()}

    assert {"bentoml", "feast", "onnxruntime"} <= names
    assert not names & {"tensorflow", "xgboost-cpu", "mlflow", "evidently"}
