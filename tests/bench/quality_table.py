"""Models by metrics with their intervals, as a table on screen."""

from rich.table import Table

from bench.quality_protocols import Protocol
from bench.quality_rows import EASE, Contest


def quality_table(protocol: Protocol, split: str, contest: Contest) -> Table:
    """Worst model first, the two stages where they belong; beside each figure the paired difference to EASE."""
    seeds, users = next(iter(contest.values["two-stage"].values())).shape
    names = [aim.metric for aim in protocol.aims]
    names += [name for name in ("recall", "ndcg") if name not in names]
    title = f"{protocol.name}, {split}: mean of {users:,} users and {seeds} seeds, 95 % intervals"
    heads = [head for name in names for head in (f"{name}@{protocol.k}", "minus EASE")]
    table = Table("model", *heads, title=title)
    for model in sorted(contest.values, key=lambda one: contest.mean(one, names[0]).value):
        cells = []
        for name in names:
            found = contest.mean(model, name)
            cells.append(f"{found.value:.4f} [{found.low:.4f}, {found.high:.4f}]")
            gap = None if model == EASE else contest.gap(model, EASE, name)
            cells.append("" if gap is None else f"{gap.value:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}]")
        table.add_row(model, *(cell.replace("[", "\\[") for cell in cells))
    return table
