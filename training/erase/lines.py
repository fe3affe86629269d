"""Files of one JSON value a line."""

import json
import os
from pathlib import Path

from training.erase.person import Person
from training.erase.search import places_in_value


def rewrite_lines_without(path: Path, person: Person) -> int:
    """Take the lines that name the person out of a file, and those that a kill cut off; returns how many there were."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if not _names(line, person)]
    if len(kept) < len(lines):
        partial = path.with_name(f".{path.name}.partial")
        with partial.open("w", encoding="utf-8") as file:
            file.writelines(kept)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    return len(lines) - len(kept)


def _names(line: str, person: Person) -> bool:
    try:
        return bool(places_in_value(json.loads(line), person))
    except ValueError:
        return True
