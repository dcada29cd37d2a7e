"""Formulas of planning against the figures of their source."""

import pytest

from bayeskit import SpecificationError
from bayeskit_models.benchmarks.planning import items_needed, minimum_detectable_difference, standard_error


def test_figures_of_the_source():
    """Miller (2024): 969 items for 3 points at omega^2 = 1/9; 13.27 and 7.57 points with 198 items, 1 and 10 samples."""
    assert items_needed(0.03, between=1 / 9) == pytest.approx(968.997, abs=5e-4)
    given = {"between": 1 / 9, "within": (1 / 6, 1 / 6)}
    assert minimum_detectable_difference(198, **given) == pytest.approx(0.13269, abs=5e-5)
    assert minimum_detectable_difference(198, **given, samples=(10, 10)) == pytest.approx(0.07570, abs=5e-5)


def test_a_pair_with_known_correlation():
    """Accuracies .65 and .60 with correlation .3: the variance of the difference asks for 1,028 items at 5 points."""
    a, b = 0.65 * 0.35, 0.60 * 0.40
    assert items_needed(0.05, between=a + b - 0.6 * (a * b) ** 0.5) == pytest.approx(1027.6, abs=0.1)


def test_need_and_reach_are_inverse():
    given = {"between": 0.08, "within": (0.2, 0.1), "samples": (3, 2), "power": 0.9, "level": 0.01}
    items = items_needed(0.02, **given)
    assert minimum_detectable_difference(items, **given) == pytest.approx(0.02, rel=1e-12)
    assert standard_error(50, between=0.5) == pytest.approx(0.1, rel=1e-12)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: standard_error(0, between=0.1), "items=0"),
        (lambda: standard_error(10, between=-0.1), "between"),
        (lambda: standard_error(10, between=0.1, samples=(0, 1)), "samples"),
        (lambda: items_needed(0.0, between=0.1), "difference=0.0"),
        (lambda: items_needed(0.1, between=0.1, power=1.0), "power=1.0"),
    ],
)
def test_faults_are_named(call, named):
    with pytest.raises(SpecificationError, match=named):
        call()
