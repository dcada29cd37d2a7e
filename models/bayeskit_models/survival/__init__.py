"""FlexibleSurvival: the adapted power generalised Weibull with multi-parameter regression."""
