"""How a version is served on this machine."""

import sys
from collections.abc import Callable

# From version, port and variant to a command line.
Serve = Callable[[str, int, str], list[str]]


def serving_command(version: str, port: int, variant: str) -> list[str]:
    """The command line of one served version."""
    options = f"--version {version} --port {port} --variant {variant}"
    return [sys.executable, "-m", "serving", "run", *options.split()]
