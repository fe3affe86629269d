"""`python -m k8s`: releases that judge themselves."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from feature_repo.core.console import console, run
from feature_repo.core.workspace import Workspace
from k8s.laptop.choices import Fault, Users, Word

app = typer.Typer(
    name="k8s",
    help="Release a version beside the one that serves; evidence promotes it, rolls it back or halts.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

DEPLOYER = "Where the stable version is served: local or kubernetes."


@app.callback()
def main() -> None:
    """Releases. Every command takes its folders from BUILD and STORE_URL."""


@app.command()
def canary(
    requests_per_step: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Fewest requests that the canary itself answers in a step before the step may pass. Default: the "
            "policy's.",
        ),
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(help="YAML file of a rollout policy; k8s/policy/rules.py lists the keys.")
    ] = None,
    champion: Annotated[
        str | None, typer.Option(help="Version that serves. Default: the one with the alias champion.")
    ] = None,
    challenger: Annotated[
        str | None, typer.Option(help="Version to release. Default: the one with the alias challenger.")
    ] = None,
    fault: Annotated[
        Fault,
        typer.Option(
            envvar="FAULT",
            help="A fault of the canary: errors fails every tenth request, slow adds 100 ms, worse gets a third of the "
            "clicks, nodata hides its metrics.",
        ),
    ] = Fault.NONE,
    users: Annotated[
        Users,
        typer.Option(
            envvar="USERS",
            help="Who asks: simulated people, who click, or a replay of held-out events, judged on operations only.",
        ),
    ] = Users.SIMULATED,
    again: Annotated[
        bool, typer.Option(help="Run even if a rollout of these two versions has ended PROMOTED.")
    ] = False,
) -> None:
    """Serve champion and challenger behind Traefik, step by step, to the end that they earn.

    Writes canary.json, canary.html and shadow.json into the reports; with a fault, or once the aliases have moved, it
    is a rehearsal, which writes rehearsal.json and rehearsal.html. Every end (PROMOTED, ROLLED_BACK, HALTED)
    exits with 0: the command did its work. No alias moves. Killed, the next call goes on where it was.
    """
    from k8s.laptop.policy import LAPTOP
    from k8s.laptop.run import promoted_before, report_path, run_canary
    from k8s.laptop.screen import summary, why
    from k8s.laptop.versions import fetch_versions
    from k8s.policy.load import load_policy

    workspace = Workspace.from_env()
    rules = load_policy(policy) if policy else LAPTOP
    if requests_per_step is not None:
        step = rules.canary.model_copy(update={"min_requests": requests_per_step})
        rules = rules.model_copy(update={"canary": step})
    asked_for = again or champion or challenger or fault is not Fault.NONE or users is not Users.SIMULATED
    report = None if asked_for else promoted_before(workspace)
    if report:
        console.print("up to date: this pair of versions has been through its rollout")
    else:
        versions = fetch_versions(workspace, champion=champion, challenger=challenger)
        report = run_canary(workspace, versions, rules, fault=fault, users=users)
    console.print(summary(report))
    for reason in why(report):
        console.print(f"  {reason}", markup=False)
    if rehearsed := report.get("rehearsal"):
        console.print(f"a rehearsal, which no promotion is decided on: {rehearsed}")
    console.print(f"{report['end_state']}; the page is {report_path(workspace, report).with_suffix('.html')}")


@app.command()
def promote(
    policy: Annotated[
        Path | None, typer.Option(help="YAML file of a release policy, like k8s/promote/production.yaml.")
    ] = None,
    where: Annotated[str, typer.Option(envvar="DEPLOYER", help=DEPLOYER)] = "local",
) -> None:
    """Decide on the challenger by the policy; on PASS serve it and move the aliases. A second call goes on."""
    from k8s.promote.command import place
    from k8s.promote.command import promote as decide
    from k8s.promote.policy_file import load_release_policy

    gates = load_release_policy(policy).promotion
    decide(Workspace.from_env(), gates, where=place(where), say=console.print)


@app.command()
def rollback(
    where: Annotated[str, typer.Option(envvar="DEPLOYER", help=DEPLOYER)] = "local",
) -> None:
    """Undo the last promotion: serve the previous version and make it champion again."""
    from k8s.promote.command import place
    from k8s.promote.command import rollback as undo

    undo(Workspace.from_env(), where=place(where), say=console.print)


@app.command()
def serve(
    port: Annotated[int, typer.Option(envvar="PORT", min=1, max=65_535, help="TCP port on 127.0.0.1.")] = 3000,
) -> None:
    """Serve the champion on this machine, and follow it: promotions and rollbacks change the version that is served."""
    from k8s.promote.champion import fetch_champion
    from k8s.promote.supervisor import supervise

    workspace = Workspace.from_env()
    supervise(workspace, port=port, champion=lambda: fetch_champion(workspace), say=console.print)


@app.command()
def lint() -> None:
    """Hold the manifests of every overlay against the code: names, selectors, probes, settings, references."""
    from k8s.lint.known import MANIFESTS, known
    from k8s.lint.lint import lint_overlay

    facts = known()
    for folder in sorted((MANIFESTS / "overlays").iterdir()):
        console.print(f"{folder.name}: {lint_overlay(folder, facts)} objects hold every rule")


@app.command()
def controller(
    identity: Annotated[
        str, typer.Option(envvar="POD_NAME", help="Name of this controller, unlike that of any other.")
    ] = "controller",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Of /livez, /readyz and /metrics; 0: any.")] = 8080,
    turn_seconds: Annotated[float, typer.Option(min=0.05, help="Seconds between two looks at the rollout.")] = 5.0,
    prometheus: Annotated[
        str | None,
        typer.Option(
            envvar="PROMETHEUS_URL",
            help="Address of the Prometheus that scrapes the pods. Default: their own /metrics are read.",
        ),
    ] = None,
    matchers: Annotated[
        str | None,
        typer.Option(
            envvar="PROMETHEUS_MATCHERS",
            help="Matchers of a variant's series there, with {variant} and {namespace}. Default: the pods' labels.",
        ),
    ] = None,
) -> None:
    """Bring the cluster's rollout to its end, turn by turn, until SIGTERM. POD_NAMESPACE names the namespace."""
    from k8s.cluster.settings import cluster_settings
    from k8s.controller.main import log_lines, run_controller
    from k8s.controller.settings import ControllerSettings
    from k8s.evidence.prometheus import prometheus_settings

    log_lines(typer.echo)
    cluster = cluster_settings()
    asked = prometheus_settings(prometheus, matchers, namespace=cluster.namespace)
    settings = ControllerSettings(identity=identity, port=port, turn_seconds=turn_seconds, prometheus=asked)
    run_controller(Workspace.from_env(), settings, cluster)


@app.command()
def release(
    policy: Annotated[Path | None, typer.Option(help="YAML file of a release policy, as for promote.")] = None,
    again: Annotated[bool, typer.Option(help="Begin even if a rollout of these two versions has ended.")] = False,
) -> None:
    """Begin the rollout of the challenger on the cluster, if its offline gates hold; the controller goes on."""
    from k8s.cluster.api import open_api
    from k8s.cluster.settings import cluster_settings
    from k8s.controller.begin import begin_from_registry
    from k8s.promote.policy_file import load_release_policy

    rules, api = load_release_policy(policy), open_api(cluster_settings())
    console.print(begin_from_registry(Workspace.from_env(), api, rules, again=again, now=datetime.now(UTC)))


@app.command()
def latency(
    requests: Annotated[
        int, typer.Option(min=1, help="Held-out events to ask for; the gate states how many it wants at least.")
    ] = 200,
) -> None:
    """Measure the latency of the challenger's bundle as on a laptop, into latency.json; the gate `latency` reads it."""
    from k8s.latency import fetch_challenger, measure_challenger

    workspace = Workspace.from_env()
    done = measure_challenger(workspace, challenger=lambda: fetch_challenger(workspace), requests=requests)
    console.print(done, soft_wrap=True)


@app.command()
def rollout(
    word: Annotated[
        Word,
        typer.Argument(
            help="status; pause: stay at this weight; resume: go on, or start a halted one again; abort: roll back; "
            "skip: leave this step without its evidence, never the last."
        ),
    ],
    by: Annotated[str, typer.Option(envvar="USER", help="Who says it; it is written into the history.")] = "operator",
    where: Annotated[str, typer.Option(envvar="DEPLOYER", help="Whose rollout: local or kubernetes.")] = "local",
) -> None:
    """Say a word to the rollout that is under way; whoever conducts it follows within one tick."""
    from k8s.rollout.command import give, stands, stored
    from k8s.rollout.step import Order

    store = stored(Workspace.from_env(), where=where)
    if word is not Word.STATUS:
        give(store, Order(word.value), by=by)
    console.print(stands(store, now=datetime.now(UTC)))


@app.command()
def retrain() -> None:
    """Start the training of a challenger as a Job, where `python -m monitoring retrain` would start a process."""
    from k8s.cluster.api import open_api
    from k8s.cluster.jobs import TrainingJobs
    from k8s.cluster.settings import cluster_settings
    from monitoring.retraining.look import retrain_workspace
    from monitoring.retraining.policy import RetrainingPolicy
    from monitoring.retraining.table import retraining_lines

    api = open_api(cluster_settings())
    outcome = retrain_workspace(
        Workspace.from_env(),
        RetrainingPolicy(),
        now=datetime.now(UTC),
        trainer=lambda moment: TrainingJobs(api, now=lambda: moment),
    )
    for line in retraining_lines(outcome, dry_run=False):
        console.print(line, soft_wrap=True)


@app.command("fault", hidden=True)
def fault_proxy(
    upstream: Annotated[str, typer.Option(help="Address of the pod, like http://127.0.0.1:3000.")],
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Loopback port to listen on.")],
    kind: Annotated[Fault, typer.Option(help="What goes wrong.")],
) -> None:
    """Stand before a pod and make it a bad one. `canary --fault` starts it."""
    from k8s.laptop.fault import serve_fault

    serve_fault(upstream, port=port, fault=kind)


if __name__ == "__main__":
    run(app)
