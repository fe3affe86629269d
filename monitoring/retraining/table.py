"""What `retrain` says: each signal, what was found of earlier trainings, the decision."""

from rich.console import RenderableType
from rich.text import Text

from monitoring.drift_table import VERDICT_STYLES
from monitoring.retraining.decide import Action
from monitoring.retraining.job import Outcome

STYLES = {Action.START: "red", Action.HOLD: "yellow", Action.NOTHING: "green"}


def retraining_lines(outcome: Outcome, *, dry_run: bool) -> tuple[RenderableType, ...]:
    """One line a signal, one for each training that has ended, then the decision and its reasons."""
    signals = [
        Text.assemble(
            f"{signal.name}: ", (signal.verdict.value, VERDICT_STYLES[signal.verdict.value]), f" {signal.reason}"
        )
        for signal in outcome.signals
    ]
    settled = [Text(f"Training {training.id} has ended.") for training in outcome.settled]
    decision = outcome.decision
    word = "Retraining (dry run)" if dry_run else "Retraining"
    said = Text.assemble(f"{word}: ", (decision.action.value, f"bold {STYLES[decision.action]}"))
    reasons = [Text(f"  {reason}") for reason in decision.reasons] if decision.action is not Action.NOTHING else []
    started = [Text(f"Training {outcome.started} has begun.")] if outcome.started else []
    return (*signals, *settled, said, *reasons, *started)
