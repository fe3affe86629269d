"""What every command shares: one console, and errors as one sentence."""

import os
import sys

import typer
from rich.console import Console

from feature_repo.core.errors import RecommenderError

console = Console(highlight=False, width=None if sys.stdout.isatty() else 110)


def run(app: typer.Typer) -> None:
    """Run a command line; a RecommenderError becomes `error: <sentence>` on stderr and exit status 2.

    Anything else that goes wrong is one line too, with exit status 1, and a traceback where TRACEBACK is set.
    """
    # Feast and MLflow report usage to their makers unless told not to; a platform that others run must not.
    os.environ.setdefault("FEAST_USAGE", "False")
    try:
        app()
    except RecommenderError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(2) from None
    except Exception as error:
        if os.environ.get("TRACEBACK"):
            raise
        sys.stderr.write(f"error: unexpected {type(error).__name__}: {error}; TRACEBACK=1 shows where\n")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        sys.stderr.write("stopped; run the same command again to go on\n")
        raise SystemExit(130) from None
