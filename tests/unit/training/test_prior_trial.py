import numpy as np
import pytest

from training.prior_trial import Trial


def test_a_prior_that_loses_more_than_one_standard_error_goes() -> None:
    gains = np.tile([-0.1, 0.0], 50)  # mean -0.05, standard error 0.005

    assert not Trial(gains).kept


@pytest.mark.parametrize("gain", [0.0, 0.02, -0.004])
def test_a_prior_that_gains_or_loses_no_more_than_chance_stays(gain: float) -> None:
    gains = np.tile([gain - 0.05, gain + 0.05], 50)

    assert Trial(gains).kept


def test_a_handful_of_openings_overrules_no_prior() -> None:
    trial = Trial(np.full(19, -1.0))

    assert trial.kept
    assert trial.metrics() == {"prior_openings": 19, "prior_ndcg_gain": -1.0, "prior_kept": 1.0}


def test_without_a_single_opening_there_is_no_figure_that_is_not_a_number() -> None:
    assert Trial(np.zeros(0)).metrics() == {"prior_openings": 0, "prior_ndcg_gain": 0.0, "prior_kept": 1.0}
