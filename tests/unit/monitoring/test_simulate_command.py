"""`python -m monitoring simulate`: what it writes, says and refuses."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from feature_repo.core.errors import SettingsRefused
from feature_repo.dataset.declaration import load_dataset
from monitoring.__main__ import app
from monitoring.simulator.command import Asked, settings_of
from monitoring.simulator.shift import Kind, Shift


def run(*options: object) -> tuple[int, str, Exception | None]:
    result = CliRunner().invoke(app, ["simulate", *map(str, options)])
    return result.exit_code, " ".join(result.output.split()), result.exception


def asked(tmp_path: Path, **changed: object) -> Asked:
    return Asked(**({"events": 1_000, "output": tmp_path, "seed": 1, "days": 60.0} | changed))  # type: ignore[arg-type]


def test_it_writes_tables_that_the_declaration_fits_and_says_what_came_out(tmp_path: Path) -> None:
    code, said, error = run("--events", 1_500, "--output", tmp_path / "shop", "--shift", "taste:0.5@20", "--seed", 3)

    dataset = load_dataset(str(tmp_path / "shop" / "dataset.yaml"))
    assert error is None
    assert code == 0
    assert "1,500 events of" in said
    assert "from day 20 taste 0.5: standard deviations by which every latent taste moves" in said
    assert "make demo DATASET=" in said
    assert pq.read_metadata(dataset.base / dataset.events.path).num_rows == 1_500
    slates = pq.read_table(tmp_path / "shop" / "slates.parquet").slice(0, 1).to_pylist()[0]
    assert len(slates["slate"]) == len(slates["click_probabilities"]) == 10


def test_a_log_can_be_read_as_it_was_known_on_a_day(tmp_path: Path) -> None:
    run("--events", 1_000, "--output", tmp_path / "shop", "--as-of", "2024-01-20", "--shift", "late:0.5@5")

    events = pq.read_table(tmp_path / "shop" / "events.parquet")

    assert 0 < events.num_rows < 1_000
    assert max(events["arrived_at"].to_pylist()) <= datetime(2024, 1, 20, tzinfo=UTC)


def test_it_writes_again_into_its_own_folder_and_not_into_another(tmp_path: Path) -> None:
    run("--events", 1_000, "--output", tmp_path / "shop")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "todo.txt").write_text("mine")

    again, foreign = (run("--events", 1_000, "--output", tmp_path / name) for name in ("shop", "notes"))

    assert again[0] == 0
    assert isinstance(foreign[2], SettingsRefused)
    assert "holds other files" in str(foreign[2])


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "shop").write_text("a file")

    _, _, error = run("--events", 1_000, "--output", tmp_path / "shop")

    assert "--output is a folder" in str(error)


def test_the_same_command_writes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        run("--events", 1_000, "--output", tmp_path / name, "--seed", 9)

    for file in ("events.parquet", "users.parquet", "items.parquet", "slates.parquet", "dataset.yaml"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("tast:1@2", r"a shift is KIND:SIZE@DAY with a kind of covariate, taste, .*bots; got 'tast:1@2'"),
        ("taste", "a shift is KIND:SIZE@DAY"),
        ("late:half@2", "with numbers, as in taste:0.5@20; got 'late:half@2'"),
        ("late:1.5@2", "the size of late is share of the events .* from 0 to 1; got 1.5"),
        ("bots:-1@2", "from 0 to 10; got -1"),
        ("taste:nan@2", "the size of taste .* got nan"),
        ("taste:0.5@60", "within the 60 days of the log, from day 0 on; got taste on day 60"),
    ],
)
def test_a_shift_that_cannot_be_is_refused_with_its_rule(written: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused, match=sentence):
        settings_of(asked(tmp_path, shifts=(written,)))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"events": 999}, "--events is at least 1,000; got 999"),
        ({"users": 0}, "users: .*greater than or equal to 1; got 0"),
        ({"items": 1}, "items: .*greater than or equal to 2; got 1"),
        ({"days": -1.0}, "days: .*greater than 0; got -1.0"),
    ],
)
def test_a_number_that_breaks_a_rule_is_refused(changed: dict[str, object], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused, match=sentence):
        settings_of(asked(tmp_path, **changed))


def test_a_shift_is_written_as_it_is_read() -> None:
    assert Shift.parse("new-items:0.3@14") == Shift(kind=Kind.NEW_ITEMS, size=0.3, from_day=14.0)


def test_a_negative_share_is_no_shift() -> None:
    with pytest.raises(ValueError, match="the size of bots is events of bots"):
        Shift(kind=Kind.BOTS, size=-0.1)


def test_settings_without_numbers_follow_the_events(tmp_path: Path) -> None:
    settings = settings_of(asked(tmp_path, events=1_000_000))

    assert json.loads(settings.model_dump_json())["users"] == 20_000
    assert settings.items == 5_000
