"""`python -m monitoring simulate`: a world, its log, and a folder that `make demo DATASET=` takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from feature_repo.core.console import console
from feature_repo.core.errors import SettingsRefused
from monitoring.simulator.dataset import write_dataset
from monitoring.simulator.log import Log, simulate
from monitoring.simulator.make import make_world
from monitoring.simulator.settings import SimulatorSettings
from monitoring.simulator.shift import UNITS, Shift
from monitoring.simulator.truth import EMPTY
from monitoring.simulator.world import World

FEWEST_EVENTS = 1_000  # below, a time split has nothing to divide
MARK = "dataset.yaml"


@dataclass(frozen=True)
class Asked:
    """What the command line says; None is derived from the number of events."""

    events: int
    output: Path
    seed: int
    days: float
    users: int | None = None
    items: int | None = None
    shifts: Sequence[str] = ()
    as_of: datetime | None = None


def settings_of(asked: Asked) -> SimulatorSettings:
    """Settings with a user for fifty events, and a catalogue that grows with the root of the events.

    Raises:
        SettingsRefused: a number breaks a rule, or a shift starts when the log is over.
    """
    if asked.events < FEWEST_EVENTS:
        raise SettingsRefused(f"--events is at least {FEWEST_EVENTS:,}; got {asked.events:,}")
    shifts = tuple(Shift.parse(text) for text in asked.shifts)
    late = next((shift for shift in shifts if not 0 <= shift.from_day < asked.days), None)
    if late:
        raise SettingsRefused(
            f"a shift starts within the {asked.days:g} days of the log, from day 0 on; got {late.kind} on day "
            f"{late.from_day:g}"
        )
    try:
        return SimulatorSettings(
            events=asked.events,
            users=max(asked.events // 50, 50) if asked.users is None else asked.users,
            items=max(round(5 * asked.events**0.5), 100) if asked.items is None else asked.items,
            days=asked.days,
            shifts=shifts,
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the settings"
        raise SettingsRefused(
            f"{where}: {first['msg'].removeprefix('Value error, ')}; got {first['input']!r:.80}"
        ) from None


def simulate_to(asked: Asked) -> Path:
    """Simulate and write; says what came out. Returns the path of dataset.yaml.

    Raises:
        SettingsRefused: the settings break a rule, or the folder holds something else.
    """
    settings = settings_of(asked)
    _refuse_foreign(asked.output)
    with console.status("drawing people and items") as status:
        world = make_world(settings, seed=asked.seed)
        log = simulate(world, seed=asked.seed, on_stage=lambda stage: status.update(f"simulating {stage}"))
        status.update("writing tables")
        path = write_dataset(world, log, asked.output, as_of=asked.as_of)
    _say(world, log)
    console.print(f"wrote {path}; the whole loop takes it: make demo DATASET={path}", soft_wrap=True)
    return path


def _refuse_foreign(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise SettingsRefused(f"--output is a folder; {folder} is a file")
    if folder.exists() and any(folder.iterdir()) and not _is_ours(folder):
        raise SettingsRefused(f"--output is a new folder, or one of an earlier simulation; {folder} holds other files")


def _is_ours(folder: Path) -> bool:
    declared = folder / MARK
    return declared.is_file() and "name: simulated" in declared.read_text(encoding="utf-8", errors="replace")


def _say(world: World, log: Log) -> None:
    events, shown = log.events, log.slates.items != EMPTY
    users, items = (len(events[name].unique()) for name in ("user_id", "item_id"))
    rate = log.slates.probabilities[shown].mean()
    console.print(
        f"{events.num_rows:,} events of {users:,} users on {items:,} items, {len(log.slates.user):,} slates; "
        f"true click rate of an impression {rate:.2%}"
    )
    for shift in world.settings.shifts:
        console.print(f"from day {shift.from_day:g} {shift.kind} {shift.size:g}: {UNITS[shift.kind]}")
