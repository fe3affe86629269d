import pytest
from bench.monitoring_shares import figure_row, share_row


def test_a_share_holds_only_where_both_of_its_exact_limits_do() -> None:
    # Clopper-Pearson of 5 in 100: 1.64 % to 11.28 %.
    inside = share_row("alarms", 5, 100, low=0.016, high=0.113)

    assert inside.name == "alarms (1.64 to 11.28 %, 100 runs)"
    assert (inside.value, inside.bound, inside.holds) == (5.0, "1.6 to 11.3 %", True)
    assert not share_row("alarms", 5, 100, low=0.017).holds
    assert not share_row("alarms", 5, 100, high=0.112).holds


def test_a_share_that_nothing_is_asked_of_has_no_bound() -> None:
    assert share_row("coverage", 100, 100).bound == ""


def test_a_figure_has_its_limits_in_its_name() -> None:
    row = figure_row("time", 50.0, (40.0, 60.0), unit="%")

    assert (row.name, row.value, row.holds) == ("time (40 to 60)", pytest.approx(50.0), True)
