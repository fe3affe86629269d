"""Assignment by keyed hash: the same everywhere, even, and independent between layers."""

import hashlib
import hmac

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

from feature_repo.core.assignment import ENVIRONMENT, assignment_key, bucket_of, buckets_of, first_bucket
from feature_repo.core.errors import SettingsRefused

KEY = b"sixteen bytes or more"
USERS = [f"user-{number}" for number in range(20_000)]


def test_a_bucket_is_the_first_eight_bytes_of_the_hmac_modulo_the_buckets() -> None:
    written_out = hmac.new(KEY, b"release\x00ann", hashlib.sha256).digest()[:8]

    found = bucket_of("ann", layer="release", key=KEY)

    assert found == int.from_bytes(written_out, "big") % 100


def test_known_units_fall_into_known_buckets() -> None:
    found = [bucket_of(unit, layer="release", key=KEY) for unit in ("ann", "bob", "zoë", "")]

    assert found == [5, 11, 82, 43]


@settings(deadline=None, max_examples=50)
@given(
    units=st.lists(st.text(max_size=20), max_size=30), layer=st.sampled_from(["a", "b"]), buckets=st.integers(1, 10_000)
)
def test_many_units_at_once_get_what_each_gets_alone(units: list[str], layer: str, buckets: int) -> None:
    together = buckets_of(units, layer=layer, key=KEY, buckets=buckets)

    assert together.tolist() == [bucket_of(unit, layer=layer, key=KEY, buckets=buckets) for unit in units]


def test_users_are_spread_evenly_over_the_buckets() -> None:
    counts = np.bincount(buckets_of(USERS, layer="release", key=KEY), minlength=100)

    assert counts.sum() == len(USERS)
    assert chisquare(counts).pvalue > 0.001


def test_two_layers_are_independent_of_each_other() -> None:
    one, two = (buckets_of(USERS, layer=layer, key=KEY, buckets=10) for layer in ("ranking", "page"))
    crossed = np.histogram2d(one, two, bins=(10, 10))[0]

    assert chi2_contingency(crossed).pvalue > 0.001
    assert (one == two).mean() < 0.15


def test_another_key_deals_everybody_anew() -> None:
    one, two = (buckets_of(USERS, layer="release", key=key) for key in (KEY, KEY + b"!"))

    assert (one == two).mean() < 0.02


def test_a_rollout_starts_at_the_hash_of_its_name() -> None:
    written_out = int.from_bytes(hashlib.sha256(b"recommender-7").digest()[:8], "big") % 100

    assert first_bucket("recommender-7") == written_out
    assert len({first_bucket(f"recommender-{version}") for version in range(50)}) > 25


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, KEY.decode())

    assert assignment_key() == KEY


def test_a_short_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, "short")

    with pytest.raises(SettingsRefused, match="needs at least 16 bytes; got 5"):
        assignment_key()


def test_no_bucket_at_all_is_refused() -> None:
    with pytest.raises(SettingsRefused, match="at least 1 bucket; got 0"):
        bucket_of("ann", layer="release", key=KEY, buckets=0)
