import hashlib
import hmac
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from feature_repo.core.errors import DatasetError
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.pseudonym import Pseudonyms, known_pseudonyms, open_pseudonyms

KEY = "a key of sixteen bytes or more"


@pytest.fixture(autouse=True)
def _no_key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RECOMMENDER_PSEUDONYM_KEY", raising=False)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(root=tmp_path, store=tmp_path / "store")


def test_a_pseudonym_is_the_hmac_sha256_of_the_id_under_the_key_of_the_environment(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECOMMENDER_PSEUDONYM_KEY", KEY)

    pseudonyms = open_pseudonyms(workspace)

    assert pseudonyms.of("ann é") == hmac.new(KEY.encode(), "ann é".encode(), hashlib.sha256).hexdigest()
    assert not pseudonyms.in_store
    assert not workspace.store.exists()


def test_without_a_key_one_is_made_once_for_every_process_of_the_store(workspace: Workspace) -> None:
    assert known_pseudonyms(workspace) is None

    with ThreadPoolExecutor(8) as pool:
        opened = set(pool.map(lambda _: open_pseudonyms(workspace), range(32)))

    (pseudonyms,) = opened
    assert pseudonyms.in_store
    assert len(pseudonyms.key) == 64
    assert stat.S_IMODE((workspace.store / "pseudonym.key").stat().st_mode) == 0o600
    assert known_pseudonyms(workspace) == pseudonyms


def test_a_short_key_is_refused(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECOMMENDER_PSEUDONYM_KEY", "short")

    with pytest.raises(DatasetError, match="RECOMMENDER_PSEUDONYM_KEY needs at least 16 bytes; got 5"):
        open_pseudonyms(workspace)


def test_the_check_tells_keys_apart_and_is_nobodys_pseudonym() -> None:
    one, other = Pseudonyms(KEY.encode(), in_store=False), Pseudonyms(KEY.upper().encode(), in_store=False)

    assert len({one.check, other.check}) == 2
    assert len(one.check) == 16
    assert not one.of("ann").startswith(one.check)


def test_rows_are_joined_to_the_users_whose_ids_are_known() -> None:
    pseudonyms = Pseudonyms(KEY.encode(), in_store=False)

    assert pseudonyms.by_pseudonym(["ann", "bob"]) == {pseudonyms.of("ann"): "ann", pseudonyms.of("bob"): "bob"}
