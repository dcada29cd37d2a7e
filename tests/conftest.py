"""What tests of the kit and of the models share."""

from __future__ import annotations

import pytest


@pytest.fixture
def compiled_with():
    """How many models are compiled once that of a fit is: tests before this one may have pushed it out of the cache."""
    from bayeskit.engine import compile_count, compiled_for

    def count(fit):
        assert compiled_for(fit.spec, fit.statistics).program is not None
        return compile_count()

    return count
