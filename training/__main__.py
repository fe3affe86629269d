"""Commands of training: `python -m training --help`."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from feature_repo.core.console import console, run
from feature_repo.core.workspace import Workspace

if TYPE_CHECKING:
    from training.pipeline import Progress as TrainingProgress
    from training.ranking.logged import LogSource

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Train and evaluate the recommender.")


@app.command()
def train(
    window: Annotated[
        str,
        typer.Option(
            envvar="WINDOW",
            help="Train on events before this moment: `champion` or `challenger` (70 % and 80 % of the events), "
            "ISO 8601 with a zone, or `auto`: champion for the first version, challenger after it.",
        ),
    ] = "auto",
    settings_file: Annotated[
        Path | None,
        typer.Option("--settings", envvar="SETTINGS", help="A JSON file of settings, as `search` writes one."),
    ] = None,
    start_from: Annotated[
        str | None,
        typer.Option(
            envvar="START_FROM",
            help="A version number or an alias: its towers go on with the days since its window, and the ranker "
            "learns from those days. Without it all is learnt anew.",
        ),
    ] = None,
    source: Annotated[
        str,
        typer.Option(
            envvar="SOURCE",
            help="What the ranker learns from: `stores`, the features as they were, or `log`, what the version of "
            "START_FROM (the champion, if none is named) was served with, as the request log has it.",
        ),
    ] = "stores",
    attribution_hours: Annotated[
        float, typer.Option(envvar="ATTRIBUTION_HOURS", help="log: an event answers a request for so long after it.")
    ] = 24.0,
    least_requests: Annotated[
        int, typer.Option(envvar="LEAST_REQUESTS", help="log: fewer requests with an answer are too few.")
    ] = 100,
) -> None:
    """Train towers and ranker, log the run to MLflow, register the bundle."""
    from feature_repo.store.open import quiet_feast
    from training import registry
    from training.runs import run_key, train_and_register
    from training.search.settings_file import load_settings
    from training.settings import TrainingSettings

    workspace = Workspace.from_env()
    settings = load_settings(settings_file) if settings_file else TrainingSettings()
    quiet_feast()
    end = _window_end(window, workspace)
    if source == "log":
        start_from = start_from or registry.CHAMPION
    start = registry.aliases(workspace).get(start_from, start_from) if start_from else None
    log = _log_source(source, start, timedelta(hours=attribution_hours), least_requests)
    found = registry.version_with_key(workspace, run_key(workspace, settings, end, start, log))
    if found:
        console.print(f"version {found} is up to date: same data, window and settings")
        return
    with _progress() as (progress, history):
        version = train_and_register(
            workspace, settings, end=end, progress=progress, history=history, start_from=start, source=log
        )
    _show_aliases(workspace, f"version {version}, trained on events before {end.isoformat()}")


def _log_source(source: str, start: str | None, window: timedelta, least: int) -> "LogSource | None":
    if source == "stores":
        return None
    from feature_repo.core.errors import SettingsRefused
    from training import registry
    from training.ranking.logged import LogSource

    if source != "log":
        raise SettingsRefused(f"SOURCE is stores or log; got {source!r}")
    if window <= timedelta(0) or least < 1:
        raise SettingsRefused(f"training from the log needs a window and requests above 0; got {window} and {least}")
    if start is None or start == registry.CHAMPION:
        raise SettingsRefused("training from the log goes on from a version that was served, and none is champion yet")
    return LogSource(start, window, least)


@app.command()
def evaluate(
    again: Annotated[bool, typer.Option(help="Measure even if the report is up to date.")] = False,
) -> None:
    """Replay the held-out window with champion and challenger; compare them request by request."""
    from feature_repo.store.open import quiet_feast
    from training.evaluate import evaluate as measure
    from training.evaluate import up_to_date

    workspace = Workspace.from_env()
    quiet_feast()
    report = None if again else up_to_date(workspace)
    if report:
        console.print("up to date: this pair of versions has been compared")
    else:
        with _bars() as bars:
            report = measure(workspace, on_stage=bars.stage, on_request=bars.advance)
    _show_metrics(report)


@app.command()
def erase(
    user: Annotated[str, typer.Option(help="The id of the person, as the event log has it.")],
) -> None:
    """Remove a person from every store, train again what held them, and search everything for what is left."""
    from feature_repo.store.open import quiet_feast
    from training.erase.erase import erase as remove
    from training.erase.retrain import Retrain

    workspace = Workspace.from_env()
    quiet_feast()
    with _progress() as (progress, history):
        report = remove(workspace, user, retrain=Retrain(workspace, progress, history), now=datetime.now(UTC))
    _show_erasure(report)


@app.command()
def fetch(
    version: Annotated[str, typer.Option(help="A version number, or an alias to resolve once.")] = "champion",
) -> None:
    """Bring a version's bundle into the workspace and print its number."""
    from training import registry

    workspace = Workspace.from_env()
    number = registry.aliases(workspace).get(version, version)
    registry.download_bundle(workspace, number)
    typer.echo(number)


@app.command()
def search(
    minutes: Annotated[float, typer.Option(help="Start no trial after this time, and stop the one that runs.")] = 30,
    trials: Annotated[int, typer.Option(help="Trials in all, those of earlier calls included.")] = 20,
    window: Annotated[str, typer.Option(envvar="WINDOW", help="As in train.")] = "auto",
) -> None:
    """Search the settings of both stages on the window's own validation requests; goes on where it was stopped."""
    from feature_repo.store.open import quiet_feast
    from training.search.run import run_search
    from training.search.search import Budget
    from training.settings import TrainingSettings

    workspace = Workspace.from_env()
    quiet_feast()
    with _bars() as bars:
        bars.stage("trials", trials)
        report = run_search(
            workspace,
            TrainingSettings(),
            end=_window_end(window, workspace),
            budget=Budget(trials, minutes * 60),
            on_trial=lambda _tried: bars.advance(),
        )
    _show_search(report)


def _window_end(window: str, workspace: Workspace) -> datetime:
    from feature_repo.dataset.split import load_split, parse_moment
    from training import registry

    split = load_split(workspace)
    if window == "auto":
        window = "challenger" if registry.aliases(workspace) else "champion"
    named = {"champion": split.champion_end, "challenger": split.challenger_end}
    if window in named:
        return named[window]
    return parse_moment(window, option="WINDOW", words="champion, challenger, auto")


class _Bars:
    """One progress bar a stage."""

    def __init__(self, display: Progress) -> None:
        self._display = display
        self._task: TaskID | None = None

    def stage(self, name: str, total: int) -> None:
        if self._task is not None:
            self._display.update(self._task, completed=self._display.tasks[self._task].total)
        self._task = self._display.add_task(name, total=total)

    def advance(self) -> None:
        if self._task is not None:
            self._display.advance(self._task)


@contextmanager
def _bars() -> Iterator[_Bars]:
    columns = (TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as display:
        yield _Bars(display)


@contextmanager
def _progress() -> Iterator[tuple["TrainingProgress", dict[str, list[tuple[int, float]]]]]:
    from training.pipeline import Progress as TrainingProgress

    history: dict[str, list[tuple[int, float]]] = {}
    with _bars() as bars:

        def metric(name: str, value: float, step: int) -> None:
            history.setdefault(name, []).append((step, value))

        yield TrainingProgress(bars.stage, bars.advance, metric), history


def _show_metrics(report: dict[str, Any]) -> None:
    names = ("ndcg@10", "recall@10", "mrr@10", "coverage")
    table = Table(
        "model",
        "version",
        *names,
        title=f"{report['requests']} requests of {report['users']} users, replayed",
    )
    found = {(r["model"], r["version"], r["metric"]): r for r in report["metrics"]}
    for model, version in dict.fromkeys((r["model"], r["version"]) for r in report["metrics"]):
        cells = (found[model, version, name] for name in names)
        table.add_row(model, version, *(f"{c['value']:.3f} [{c['low']:.3f}, {c['high']:.3f}]" for c in cells))
    console.print(table)


def _show_search(report: dict[str, Any]) -> None:
    table = Table("trial", "state", report["metric"], "seconds", "values", title=f"study {report['study']}")
    for trial in sorted(report["trials"], key=lambda trial: -(trial["value"] or 0)):
        cells = (f"{trial[name]:.4g}" if trial[name] is not None else "-" for name in ("value", "seconds"))
        values = ", ".join(f"{n}={v:.3g}" if isinstance(v, float) else f"{n}={v}" for n, v in trial["values"].items())
        table.add_row(str(trial["number"]), trial["state"], *cells, values)
    console.print(table)
    console.print(f"best: trial {report['trial']}, {report['value']:.4f}; its settings are in search.json")


def _show_erasure(report: dict[str, Any]) -> None:
    table = Table("store", "found", "removed", "found afterwards", title=f"erased: {report['user'][:12]}")
    for row in report["stores"]:
        table.add_row(row["store"], *(str(row[name]) for name in ("found", "removed", "left")))
    console.print(table)
    for line in report["to_do"]:
        console.print(f"  {line}")


def _show_aliases(workspace: Workspace, line: str) -> None:
    from training import registry

    now = ", ".join(f"{alias} = {version}" for alias, version in sorted(registry.aliases(workspace).items()))
    console.print(f"{line}; {now}")


if __name__ == "__main__":
    run(app)
