"""`python -m bench.quality_contender PROTOCOL SPLIT SEED OUT WORKSPACE`: every model of a random protocol, once.

The two stages come first, so that the time and the peak memory written down are theirs alone. Steps go to stdout.
"""

import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from bench.quality_protocols import PROTOCOLS
from feature_repo.core.workspace import Workspace, write_json
from training.evaluation.hits import counts_of, hits_of
from training.evaluation.metrics import ndcg, recall
from training.static.candidates import Plan, ranked
from training.static.members import unfitted
from training.static.two_stage import two_stage

Array = np.ndarray[Any, Any]


def main(name: str, split: str, seed: str, out: str, root: str) -> None:
    protocol, number = PROTOCOLS[name], int(seed)
    part = protocol.part(Workspace(root=Path(root), store=Path(root) / "store"), split)
    users = np.flatnonzero(np.diff(part.held.indptr))
    started = time.perf_counter()
    slates = two_stage(part.known, users, protocol.settings, k=protocol.k, seed=number, on_step=_say)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for member in protocol.beside:
        _say(f"beside: {member.name}")
        one = {member.name: unfitted(member).fit(part.known.log, seed=number)}
        plan = Plan(tuple(one), protocol.k, protocol.k, protocol.k)
        slates |= ranked(part.known, one, users, plan).lists
    values = {model: _values(slate, part.held[users]) for model, slate in slates.items()}
    write_json(Path(out), {"seconds": seconds, "peak_mb": peak, "values": values})


def _values(slate: Array, held: sparse.csr_array) -> dict[str, list[float]]:
    hits, relevant = hits_of(slate, held), counts_of(held)
    return {name: metric(hits, relevant).round(6).tolist() for name, metric in (("recall", recall), ("ndcg", ndcg))}


def _say(step: str) -> None:
    sys.stdout.write(f"{step}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
