import hashlib
import hmac
import stat
from pathlib import Path

import pytest

from feature_repo.core.errors import DatasetError
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.tombstone import add_tombstone, keyed_hash, read_tombstones

KEY = "a secret of sixteen bytes"


@pytest.fixture(autouse=True)
def _no_key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ERASURE_KEY", raising=False)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(root=tmp_path, store=tmp_path / "store")


def test_the_hash_is_hmac_sha256_in_hexadecimal_digits() -> None:
    assert keyed_hash(b"k", "ann é") == hmac.new(b"k", "ann é".encode(), hashlib.sha256).hexdigest()


def test_nobody_is_erased_and_no_key_is_made_before_the_first_tombstone(workspace: Workspace) -> None:
    tombstones = read_tombstones(workspace)

    assert (tombstones.key, tombstones.hashes, tombstones.among(["ann"])) == (b"", frozenset(), [])
    assert not workspace.store.exists()


def test_an_erased_user_is_recognised_and_not_named_in_any_file(workspace: Workspace) -> None:
    add_tombstone(workspace, "ann of Rome")
    add_tombstone(workspace, "bob")
    add_tombstone(workspace, "bob")

    tombstones = read_tombstones(workspace)
    assert tombstones.among(["ann of Rome", "ann", "bob", "cy"]) == ["ann of Rome", "bob"]
    assert len(tombstones.hashes) == 2
    assert not [file for file in workspace.store.iterdir() if b"ann" in file.read_bytes()]


def test_the_key_file_is_for_its_owner_alone(workspace: Workspace) -> None:
    add_tombstone(workspace, "ann")

    assert stat.S_IMODE((workspace.store / "erasure.key").stat().st_mode) == 0o600


def test_a_key_from_the_environment_is_used_and_not_written_down(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERASURE_KEY", KEY)

    assert add_tombstone(workspace, "ann") == keyed_hash(KEY.encode(), "ann")
    assert not (workspace.store / "erasure.key").exists()
    assert read_tombstones(workspace).among(["ann"]) == ["ann"]


def test_a_lost_or_changed_key_stops_the_run_that_would_let_the_erased_back_in(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERASURE_KEY", KEY)
    add_tombstone(workspace, "ann")

    monkeypatch.setenv("ERASURE_KEY", KEY[::-1])
    with pytest.raises(DatasetError, match=r"erased\.txt was written with another key"):
        read_tombstones(workspace)
    monkeypatch.delenv("ERASURE_KEY")
    with pytest.raises(DatasetError, match=r"their key is not there: set ERASURE_KEY"):
        add_tombstone(workspace, "bob")


def test_a_key_that_could_be_guessed_is_refused(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERASURE_KEY", "short")

    with pytest.raises(DatasetError, match="ERASURE_KEY needs at least 16 bytes; got 5"):
        add_tombstone(workspace, "ann")
