"""Command lines of containers, parsed by the commands themselves: names, options, arguments, types of values.

Nothing is run. A command whose option was renamed would otherwise be found out by a CronJob at night.
"""

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any

# Modules whose commands a container may run.
MODULES = ("feature_repo", "training", "monitoring", "k8s")


def refusal(line: Sequence[str]) -> str | None:
    """Why `python -m MODULE COMMAND ...` would be refused, as a sentence; None for a line that is taken."""
    module = line[2] if len(line) > 2 else None
    if list(line[:2]) != ["python", "-m"] or module not in MODULES:
        return f"expected python -m with one of {', '.join(MODULES)}; got {' '.join(line)}"
    if said := _said_by(module, line[3:]):
        return f"expected a line that python -m {module} takes; got {' '.join(line[3:]) or 'nothing'}: {said}"
    return None


def _said_by(module: str, words: Sequence[str]) -> str | None:
    from typer.exceptions import TyperException

    # Parsing these two would print a page.
    if "--help" in words:
        return "it would print its help and end"
    context, command, rest = None, _command(module), list(words)
    try:
        while hasattr(command, "resolve_command"):
            if not rest:
                return "a command is missing"
            context = command.make_context(module, list(rest), parent=context)
            _, command, rest = command.resolve_command(context, rest)
        command.make_context(module, list(rest), parent=context)
    except TyperException as error:
        return " ".join(error.format_message().split())
    return None


@cache
def _command(module: str) -> Any:
    from typer.main import get_command

    return get_command(import_module(f"{module}.__main__").app)
