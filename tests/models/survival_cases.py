"""What several tests of survival share: a law in closed form, the arms of the shipped trial, and how a picture is looked at."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pandas as pd

TWO = pd.DataFrame({"horTh": ["no", "yes"]})
MULTIPLIER = "independent_censoring.multiplier"
PHI, GAMMA = 0.4, 1.3
PARAMETERS = {"scale_intercept": np.log(PHI), "shape_intercept": np.log(GAMMA)}


def assert_picture(figure, *told):
    """An SVG that parses, whose content stands in words."""
    ElementTree.fromstring(figure.data)
    for text in told:
        assert text in figure.alt, figure.alt
