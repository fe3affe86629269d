from pathlib import Path

import pytest

from feature_repo.core.workspace import Workspace
from serving import settings as settings_module
from serving.settings import SettingsError, from_env, require_bundle

WORKSPACE = Workspace(root=Path("/w"), store=Path("/w/store"))


def test_a_version_is_enough_and_its_bundle_is_where_fetch_puts_it() -> None:
    settings = from_env(WORKSPACE, {"SERVE_VERSION": "3", "PATH": "/bin"})

    assert (settings.version, settings.bundle, settings.variant) == ("3", Path("/w/bundles/3"), "stable")


def test_variables_set_limits_and_the_page() -> None:
    settings = from_env(WORKSPACE, {"SERVE_VERSION": "3", "SERVE_MAX_K": "20", "SERVE_PAGE": "false"})

    assert (settings.max_k, settings.page) == (20, False)


REFUSED = [
    ({}, "a serving process needs one version of the model: set SERVE_VERSION to it"),
    ({"SERVE_VERSION": "champion"}, "setting SERVE_VERSION: .*; got 'champion'"),
    ({"SERVE_VERSION": "3", "SERVE_MAX_K": "101"}, "setting SERVE_MAX_K: .*; got '101'"),
    ({"SERVE_VERSION": "3", "SERVE_VARIANT": "blue"}, "setting SERVE_VARIANT: .*; got 'blue'"),
    ({"SERVE_VERSION": "3", "SERVE_MAXK": "5"}, "setting SERVE_MAXK: .*not permitted; got '5'"),
]


@pytest.mark.parametrize(("environ", "sentence"), REFUSED)
def test_a_setting_that_breaks_a_rule_is_refused_with_a_sentence(environ: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        from_env(WORKSPACE, environ)


def test_a_bento_brings_its_version_and_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = tmp_path / "served.json"
    served.write_text('{"version": "5", "bundle": "bundle"}')
    monkeypatch.setattr(settings_module, "SERVED_FILE", served)
    monkeypatch.setattr(settings_module, "CODE_ROOT", tmp_path)

    settings = from_env(WORKSPACE, {})

    assert (settings.version, settings.bundle) == ("5", tmp_path / "bundle")


def test_a_bundle_that_was_not_fetched_is_refused_with_the_command_that_fetches_it() -> None:
    with pytest.raises(SettingsError, match="run `python -m training fetch --version 3`"):
        require_bundle(from_env(WORKSPACE, {"SERVE_VERSION": "3"}))
