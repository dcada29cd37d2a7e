"""bayeskit: Bayesian models whose answers rest on assumptions that data cannot test.

Every assumption is a named object with a dial; the fit, the sensitivity analysis and the report are views of the same list.
Heavy libraries are imported when they are used.
"""

import lazy_loader as _lazy

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
