"""Items of reporting checklists by our own short labels, with what in a report would answer each.

Sources: BARG, Kruschke (2021), Nature Human Behaviour 5:1282; WAMBS, Depaoli and van de Schoot (2017), Psychological Methods
22:240; ROBUST, Sung et al. (2005), Journal of Clinical Epidemiology 58:261; TRIPOD+AI, Collins et al. (2024), BMJ 385:e078378;
STROBE for cohorts, von Elm et al. (2007), Lancet 370:1453; REMARK, McShane et al. (2005), Journal of Clinical Oncology
23:9067, explained by Altman et al. (2012), PLoS Medicine 9:e1001216. Numbers and meaning were compared with public texts: the
52 items of TRIPOD+AI, the 34 of STROBE and the 20 of REMARK one by one, WAMBS with its authors' tutorials, ROBUST with its
abstract, the preamble and steps 1 to 3 of BARG; of its steps 4 to 6 the topics only. The labels are no quotations: whoever
submits to a journal fills in the original form.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CHECKLISTS", "Item"]


@dataclass(frozen=True)
class Item:
    """One item of a checklist.

    Attributes
    ----------
    id, label : str
        Its number in the checklist, and what it asks in few words.
    needs : tuple of str
        Evidence that has to be in the report, by name; "a|b" takes either.
    blank : str
        Key of the blank that the author has to fill; empty where the report alone can answer.
    unless : str
        When the item does not apply: "no decision", "no Bayes factors" or "sampled".
    """

    id: str
    label: str
    needs: tuple[str, ...] = ()
    blank: str = ""
    unless: str = ""


def _author(blank: str, *pairs: tuple[str, str]) -> tuple[Item, ...]:
    """Items that only the author can answer, all by one blank."""
    return tuple(Item(number, label, (), blank) for number, label in pairs)


_BARG = (
    Item("B0a", "why Bayesian", (), "bayesian"),
    Item("B0b", "goals of the analysis", (), "goal"),
    Item("B1a", "data: variables, groups, what is missing", ("data", "missing", "left out")),
    Item("B1b", "likelihood, parameters, hierarchy", ("equations", "assumptions")),
    Item("B1c", "priors and why these", ("priors", "assumptions"), "priors"),
    Item("B1d", "formal specification", ("equations", "specification")),
    Item("B1e", "prior predictive check", ("prior predictive",)),
    Item("B2a", "software and versions", ("versions",)),
    Item("B2b", "convergence of every parameter and derived value", ("r-hat|laplace",)),
    Item("B2c", "effective size of every parameter and derived value", ("ess|laplace",)),
    Item("B2d", "approximations, if not by Monte Carlo chains", ("laplace",), "", "sampled"),
    Item("B3a", "posterior predictive check", ("posterior predictive",)),
    Item("B3b", "centre and credible interval, kind stated", ("estimates",)),
    Item("B3c", "Bayes factors and model probabilities", (), "", "no Bayes factors"),
    Item("B4a", "why a decision", (), "decision", "no decision"),
    Item("B4b", "loss of each error", (), "loss", "no decision"),
    Item("B4c", "limits of practical equivalence and why", (), "region", "no decision"),
    Item("B4d", "threshold of probability and why", (), "threshold", "no decision"),
    Item("B4e", "estimates beside the decision", ("estimates",)),
    Item("B5a", "sensitivity to broader priors", ("sensitivity",)),
    Item("B5b", "sensitivity to informed priors", ("sweep",), "alternatives"),
    Item("B5c", "sensitivity to default priors", ("sweep",), "alternatives"),
    Item("B5d", "sensitivity of Bayes factors", (), "", "no Bayes factors"),
    Item("B5e", "sensitivity of the decision", ("tipping",), "decision", "no decision"),
    Item("B6a", "software and how to install it", ("installation", "versions")),
    Item("B6b", "script with all details", ("code", "specification")),
    Item("B6c", "readable by people", ("assumptions", "code")),
    Item("B6d", "auxiliary files", (), "files"),
    Item("B6e", "runs as given", ("code", "digest")),
    Item("B6f", "chains can be reproduced", ("seed", "versions")),
    Item("B6g", "lasting", ("versions", "specification"), "files"),
)
_WAMBS = (
    Item("W1", "priors understood", ("priors", "assumptions")),
    Item("W2", "traces converge", ("traces", "r-hat|laplace")),
    Item("W3", "still converged with twice the draws", ("doubling",)),
    Item("W4", "enough draws for the shape", ("densities", "ess|laplace")),
    Item("W5", "autocorrelation", ("autocorrelation",)),
    Item("W6", "posterior makes sense", ("posterior predictive",), "meaning"),
    Item("W7", "other priors of variances", ("sensitivity",)),
    Item("W8", "against weaker priors", ("sensitivity",)),
    Item("W9", "stable under sensitivity analysis", ("sensitivity",)),
    Item("W10", "Bayesian interpretation", ("conditional", "estimates")),
)
_ROBUST = (
    Item("R1", "prior specified", ("priors",)),
    Item("R2", "prior justified", ("assumptions",), "priors"),
    Item("R3", "sensitivity to the prior", ("sensitivity",)),
    Item("R4", "statistical model", ("equations",)),
    Item("R5", "technique of computation", ("sampler", "versions")),
    Item("R6", "central tendency", ("estimates",)),
    Item("R7", "spread or interval", ("estimates",)),
)
_TRIPOD = (
    *_author("title", ("1", "title"), ("2", "abstract")),
    *_author("context", ("3a", "context and models there are"), ("3b", "for whom and for whose use"), ("3c", "inequalities")),
    Item("4", "objectives", (), "goal"),
    *_author("source", ("5a", "sources of data"), ("5b", "dates")),
    *_author("population", ("6a", "setting"), ("6b", "eligibility"), ("6c", "treatments")),
    Item("7", "preparation of the data", ("data", "left out"), "source"),
    *_author("outcome", ("8a", "outcome defined"), ("8b", "who assessed it"), ("8c", "blinding")),
    Item("9a", "choice of predictors", ("equations",), "predictors"),
    *_author("predictors", ("9b", "predictors defined"), ("9c", "who assessed them")),
    Item("10", "sample size", ("data",), "size"),
    Item("11", "missing data", ("missing", "left out")),
    Item("12a", "use of the data", ("data", "code")),
    Item("12b", "handling of predictors", ("equations", "assumptions")),
    Item("12c", "type of model and how it was built", ("equations", "assumptions", "specification")),
    Item("12d", "differences between clusters", (), "heterogeneity"),
    Item("12e", "measures and plots of performance", ("posterior predictive",), "performance"),
    Item("12f", "updating", (), "updating"),
    Item("12g", "how predictions are made", ("equations", "code")),
    Item("13", "class imbalance and what was done about it", ("outcomes", "equations")),
    Item("14", "fairness", (), "fairness"),
    Item("15", "what the model returns", ("equations", "estimates")),
    Item("16", "how development and evaluation data differ", (), "performance"),
    Item("17", "ethics", (), "ethics"),
    *_author("openness", ("18a", "funding"), ("18b", "interests"), ("18c", "protocol"), ("18d", "registration"),
             ("18e", "data sharing")),
    Item("18f", "code", ("code", "installation")),
    Item("19", "involvement of patients and public", (), "involvement"),
    Item("20a", "flow of participants, with and without the outcome", ("data", "left out", "outcomes"), "flow"),
    Item("20b", "characteristics", ("data",), "flow"),
    Item("20c", "compared with the development data", (), "performance"),
    Item("21", "numbers of participants and outcomes", ("data", "outcomes")),
    Item("22", "the full model", ("parameters", "specification")),
    Item("23a", "performance with intervals", (), "performance"),
    Item("23b", "performance in clusters", (), "heterogeneity"),
    Item("24", "results of updating", (), "updating"),
    Item("25", "interpretation", (), "meaning"),
    Item("26", "limitations", ("limits",)),
    *_author("usability", ("27a", "poor or missing inputs"), ("27b", "what users must know"), ("27c", "next steps")),
)  # fmt: skip
_STROBE = (
    *_author("title", ("1a", "design in the title"), ("1b", "abstract")),
    Item("2", "background", (), "context"),
    Item("3", "objectives", (), "goal"),
    *_author("population", ("4", "design of the study"), ("5", "setting and dates"),
             ("6a", "eligibility, selection, follow-up"), ("6b", "matching, if any")),
    Item("7", "variables defined", ("equations",), "outcome"),
    Item("8", "sources and measurement", (), "source"),
    Item("9", "bias", (), "bias"),
    Item("10", "study size", ("data",), "size"),
    Item("11", "quantitative variables", ("equations", "assumptions")),
    Item("12a", "statistical methods, confounding among them", ("equations", "assumptions", "sampler")),
    Item("12b", "subgroups and interactions", ("equations",)),
    Item("12c", "missing data", ("missing", "left out")),
    Item("12d", "loss to follow-up", ("follow-up", "limits")),
    Item("12e", "sensitivity analyses", ("sensitivity",)),
    Item("13a", "numbers at each stage", ("data", "left out"), "flow"),
    Item("13b", "why people are not in it", ("left out",), "flow"),
    Item("13c", "diagram of the flow", (), "flow"),
    Item("14a", "characteristics", ("data",), "flow"),
    Item("14b", "missing by variable", ("missing",)),
    Item("14c", "follow-up time", ("follow-up",)),
    Item("15", "numbers of events", ("events",)),
    Item("16a", "estimates with precision, adjusted for what", ("equations", "estimates")),
    Item("16b", "boundaries of categories", ("equations",), "predictors"),
    Item("16c", "absolute risks beside relative ones", ("estimates",)),
    Item("17", "other analyses", ("sensitivity", "posterior predictive")),
    Item("18", "key results", (), "meaning"),
    Item("19", "limitations", ("limits",)),
    Item("20", "interpretation", (), "meaning"),
    Item("21", "to whom it generalises", (), "generality"),
    Item("22", "funding", (), "openness"),
)  # fmt: skip
_REMARK = (
    Item("1", "marker, objectives, hypotheses", (), "goal"),
    *_author("population", ("2", "patients and where from"), ("3", "treatments")),
    *_author("specimens", ("4", "specimens"), ("5", "assay")),
    Item("6", "selection of cases and follow-up", ("follow-up",), "population"),
    Item("7", "endpoints", (), "outcome"),
    Item("8", "candidate variables", ("equations",), "predictors"),
    Item("9", "why this size", ("data", "events"), "size"),
    Item("10", "statistical methods and missing data", ("equations", "assumptions", "missing")),
    Item("11", "values and cut-points of the marker", ("equations",), "predictors"),
    Item("12", "flow of patients and numbers of events", ("data", "left out", "events"), "flow"),
    Item("13", "characteristics and the marker, what is missing", ("data", "missing"), "flow"),
    Item("14", "marker against standard variables", (), "standard"),
    Item("15", "analyses of single variables", (), "standard"),
    Item("16", "effects with intervals", ("estimates",)),
    Item("17", "effects beside standard variables, whatever they are", ("estimates",), "standard"),
    Item("18", "assumptions checked, sensitivity, validation", ("posterior predictive", "sensitivity")),
    Item("19", "interpretation and limitations", ("limits",), "meaning"),
    Item("20", "what follows", (), "generality"),
)

CHECKLISTS: dict[str, tuple[Item, ...]] = {
    "BARG": _BARG, "WAMBS": _WAMBS, "ROBUST": _ROBUST, "TRIPOD+AI": _TRIPOD, "STROBE": _STROBE, "REMARK": _REMARK,
}  # fmt: skip
"""Items by checklist. A model names those that apply to it (`ModelHooks.checklists`)."""
