"""`python -m k8s`: releases that judge themselves."""

from pathlib import Path
from typing import Annotated

import typer

from feature_repo.core.console import console, run
from feature_repo.core.workspace import Workspace
from k8s.fault import Fault

app = typer.Typer(
    name="k8s",
    help="Release a version beside the one that serves; evidence promotes it, rolls it back or halts.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def main() -> None:
    """Releases. Every command takes its folders from BUILD and STORE_URL."""


@app.command()
def canary(
    requests_per_step: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Fewest requests that the canary itself answers in a step before it is judged; at weight 10 "
            "ten times as many are sent. Default: the policy's. With fewer than 133 the default margins "
            "cannot be shown to hold even without an error, so the step goes on.",
        ),
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(help="YAML file of a rollout policy; k8s/README.md lists the keys.")
    ] = None,
    champion: Annotated[
        str | None, typer.Option(help="Version that serves. Default: the one with the alias champion.")
    ] = None,
    challenger: Annotated[
        str | None, typer.Option(help="Version to release. Default: the one with the alias challenger.")
    ] = None,
    fault: Annotated[
        Fault,
        typer.Option(help="Put a fault before the canary: errors fails every tenth request, slow adds 100 ms."),
    ] = Fault.NONE,
    again: Annotated[
        bool, typer.Option(help="Run even if a rollout of these two versions has ended PROMOTED.")
    ] = False,
) -> None:
    """Serve champion and challenger behind Traefik on replayed held-out events, step by step, to the end that
    they earn.

    Writes canary.json and canary.html into the reports. Every end (PROMOTED, ROLLED_BACK, HALTED) exits with
    0: the command did its work. No alias moves.
    """
    from k8s.canary import fetch_versions, promoted_before, run_canary
    from k8s.policy import Policy, load_policy
    from k8s.screen import summary

    workspace = Workspace.from_env()
    rules = load_policy(policy) if policy else Policy()
    if requests_per_step is not None:
        rules = rules.model_copy(update={"min_canary_requests": requests_per_step})
    asked_for = again or champion or challenger or fault is not Fault.NONE
    report = None if asked_for else promoted_before(workspace)
    if report:
        console.print("up to date: this pair of versions has been through its rollout")
    else:
        versions = fetch_versions(workspace, champion=champion, challenger=challenger)
        report = run_canary(workspace, versions, rules, fault=fault)
    console.print(summary(report))
    console.print(f"{report['end_state']}; the page is {workspace.reports / 'canary.html'}")


@app.command("fault", hidden=True)
def fault_proxy(
    upstream: Annotated[str, typer.Option(help="Address of the pod, like http://127.0.0.1:3000.")],
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Loopback port to listen on.")],
    kind: Annotated[Fault, typer.Option(help="What goes wrong.")],
) -> None:
    """Stand before a pod and make it answer with errors, or late. `canary --fault` starts it."""
    from k8s.fault import serve_fault

    serve_fault(upstream, port=port, fault=kind)


if __name__ == "__main__":
    run(app)
