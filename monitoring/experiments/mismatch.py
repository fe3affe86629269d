"""Sample ratio mismatch: more or fewer users in a variant than its share says that there should be.

Then somebody was lost or counted twice, and not by chance; no difference between the variants means anything.
Fabijan et al. (2019), Diagnosing sample ratio mismatch in online controlled experiments, KDD.
"""

from collections.abc import Mapping, Sequence

from scipy.stats import chisquare

from feature_repo.core.errors import NotMeasurable

ALPHA = 0.001  # a false alarm throws a good experiment away, and a real mismatch is rarely a near miss


def mismatch_p_value(users: Sequence[int], shares: Sequence[float]) -> float:
    """The chi-squared p-value of these numbers of users under these shares.

    Raises:
        NotMeasurable: there are no users at all.
    """
    total = sum(users)
    if total == 0:
        raise NotMeasurable("a sample ratio needs users; got none in any variant")
    expected = [total * share / sum(shares) for share in shares]
    return float(chisquare(users, expected).pvalue)


def mismatch(users: Mapping[str, int], shares: Mapping[str, float]) -> str | None:
    """A sentence where the users of the variants do not fit their shares, else None."""
    p_value = mismatch_p_value([users[name] for name in shares], list(shares.values()))
    if p_value >= ALPHA:
        return None
    found = ", ".join(f"{name} {users[name]:,}" for name in shares)
    stated = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
    return f"sample ratio mismatch: users {found} under shares {stated} have a chance of {p_value:.1e}"
