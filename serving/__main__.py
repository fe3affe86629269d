"""`python -m serving`: serve a version, build its Bento, measure it."""

import os
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
Output = Annotated[Path | None, typer.Option(help="Also export the Bento to this new folder.")]


@app.command("run")
def run_command(
    version: Version,
    port: Port = 3000,
    host: Host = "127.0.0.1",
    variant: Variant = "stable",
) -> None:
    """Serve one version until SIGTERM. SERVE_* variables set limits and the page; see serving/README.md."""
    from serving.server import log_to_stderr, serve

    os.environ["SERVE_VERSION"] = str(version)
    os.environ["SERVE_VARIANT"] = variant
    log_to_stderr()
    serve(Workspace.from_env(), host=host, port=port)


@app.command()
def build(version: Version, output: Output = None) -> None:
    """Build a Bento that holds the code and the bundle of one version; `bentoml serve FOLDER` serves it."""
    from serving.bento import build_bento

    built = build_bento(Workspace.from_env(), version=str(version), output=output)
    console.print(f"built {built.tag} in {built.folder}")


@app.command()
def probe(version: Version, requests: Requests = 200) -> None:
    """Start a server, measure time to ready and latency on real requests, and write latency.json."""
    from serving.probe import run_probe

    report = run_probe(Workspace.from_env(), version=str(version), requests=requests)
    console.print(
        f"{report['requests']} requests: p50 {report['p50_ms']:.1f} ms, p99 {report['p99_ms']:.1f} ms; "
        f"ready in {report['ready_seconds']:.1f} s, {report['ready_ratio']:.2f} times the bare imports"
    )


if __name__ == "__main__":
    run(app)
