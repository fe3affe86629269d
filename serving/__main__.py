"""`python -m serving`: serve a version, build its Bento, measure it, make slates for everybody."""

import gc
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from feature_repo.core.console import console, run
from feature_repo.core.workspace import Workspace

app = typer.Typer(
    name="serving",
    help="Serve one registered version of the recommender over HTTP, build its Bento, measure it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

Version = Annotated[
    int,
    typer.Option(min=1, help="A registered version's number; `python -m training fetch` brings its bundle."),
]
Port = Annotated[int, typer.Option(min=1, max=65_535, help="TCP port to listen on.")]
Host = Annotated[str, typer.Option(help="Address to listen on; by default only this machine can connect.")]
Variant = Annotated[str, typer.Option(help="Side of a rollout: stable or canary.")]
Requests = Annotated[int, typer.Option(min=1, help="Held-out events to ask for, one after another.")]
Items = Annotated[list[str], typer.Argument(help="Item ids, one or more.")]
Tag = Annotated[str | None, typer.Option(help="Name of the image; by default localhost/recommender:VERSION.")]
JobsTag = Annotated[str | None, typer.Option(help="Name of the image; by default localhost/recommender-jobs:RELEASE.")]
Base = Annotated[str | None, typer.Option(help="Image to start from, with Python 3.11; by default Debian.")]
Output = Annotated[Path | None, typer.Option(help="Also export the Bento to this new folder.")]


@app.command("run")
def run_command(
    version: Version,
    port: Port = 3000,
    host: Host = "127.0.0.1",
    variant: Variant = "stable",
) -> None:
    """Serve one version until SIGTERM. SERVE_* variables set limits and the page; see serving/README.md."""
    from serving.server import serve

    os.environ["SERVE_VERSION"] = str(version)
    os.environ["SERVE_VARIANT"] = variant
    serve(Workspace.from_env(), host=host, port=port)


@app.command("block")
def block_command(item: Items) -> None:
    """Take items out of every slate, within a second, in all servers of this store."""
    from serving.items.blocked_file import block, blocked_path
    from serving.settings import blocked_from_env

    held = block(blocked_path(Workspace.from_env(), blocked_from_env()), item, now=datetime.now(UTC))
    console.print(f"blocked {len(item)}; {held} on the list")


@app.command("unblock")
def unblock_command(item: Items) -> None:
    """Let blocked items into slates again."""
    from serving.items.blocked_file import blocked_path, unblock
    from serving.settings import blocked_from_env

    held = unblock(blocked_path(Workspace.from_env(), blocked_from_env()), item)
    console.print(f"unblocked {len(item)}; {held} on the list")


@app.command()
def rules(file: Annotated[Path, typer.Argument(help="A rules file, as SERVE_RULES names one.")]) -> None:
    """Check a rules file and print what it states, or say in a sentence why it would be refused."""
    from serving.rerank.rules_file import read_rules

    console.print_json(read_rules(file).model_dump_json(exclude_defaults=True))


@app.command()
def build(version: Version, output: Output = None) -> None:
    """Build a Bento that holds the code and the bundle of one version; `bentoml serve FOLDER` serves it."""
    from serving.bento import build_bento

    built = build_bento(Workspace.from_env(), version=str(version), output=output)
    console.print(f"built {built.tag} in {built.folder}")


@app.command()
def image(version: Version, tag: Tag = None, base: Base = None) -> None:
    """Build a container image of one version's Bento with podman; serving/README.md says how to run it."""
    from serving.container.image import build_image

    name = tag or f"localhost/recommender:{version}"
    built = build_image(Workspace.from_env(), version=str(version), tag=name, now=datetime.now(UTC), base=base)
    console.print(f"built {built.tag}, {built.size / 1e6:.0f} MB")


@app.command("jobs-image")
def jobs_image(tag: JobsTag = None, base: Base = None) -> None:
    """Build the container image that the controller and the CronJobs of k8s/manifests run, with podman."""
    from serving.container.jobs import build_jobs_image, jobs_tag

    built = build_jobs_image(tag or jobs_tag(), now=datetime.now(UTC), base=base)
    console.print(f"built {built.tag}, {built.size / 1e6:.0f} MB")


@app.command()
def probe(version: Version, requests: Requests = 200) -> None:
    """Start a server, measure time to ready and latency on real requests, and write latency.json."""
    from serving.probe import run_probe

    report = run_probe(Workspace.from_env(), version=str(version), requests=requests)
    console.print(
        f"{report['requests']} requests: p50 {report['p50_ms']:.1f} ms, p99 {report['p99_ms']:.1f} ms; "
        f"ready in {report['ready_seconds']:.1f} s, {report['ready_ratio']:.2f} times the bare imports"
    )


@app.command()
def batch(
    version: Version,
    k: Annotated[int, typer.Option(min=1, max=100, help="Items in a slate.")] = 20,
    part: Annotated[int, typer.Option(min=1, help="Users in one file; a killed run goes on after the last.")] = 1_000,
    moment: Annotated[
        str, typer.Option(envvar="MOMENT", help="What the slates are for: `now`, or ISO 8601 with a zone.")
    ] = "now",
) -> None:
    """Write a slate for every user into the store, made as requests are answered; see serving/batch_plan.py."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from feature_repo.dataset.split import parse_moment
    from serving.batch import open_for_batch, run_batch

    os.environ["SERVE_VERSION"] = str(version)
    now = datetime.now(UTC)
    at = now if moment == "now" else parse_moment(moment, option="--moment", words="`now`")
    workspace = Workspace.from_env()
    runtime = open_for_batch(workspace)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console) as display:
            task = display.add_task("slates", total=None)
            written = run_batch(
                workspace,
                runtime,
                k=k,
                part=part,
                moment=at,
                now=now,
                on_start=lambda total, done: display.update(task, total=total, completed=done),
                on_user=lambda: display.advance(task),
            )
    finally:
        runtime.close()
        gc.unfreeze()  # what the start froze is let go of before the interpreter ends
    console.print(
        f"{written.users} slates in {written.folder}: {written.parts} parts, {written.kept_parts} of them kept from "
        f"an earlier run, {written.degraded} slates degraded"
    )


if __name__ == "__main__":
    run(app)
