"""Claims: what the grammar means, what it refuses, and that every number comes with an honest Monte Carlo error."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
from hostile import NASTY
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bayeskit import SpecificationError
from bayeskit.convergence import diagnostics
from bayeskit.estimands import interval, p_above, p_best, rank_interval, ranks
from bayeskit.sensitivity import Claim
from bayeskit.sensitivity.claim_parser import Vocabulary
from bayeskit.sensitivity.claim_terms import (
    FUNCTIONS,
    RELATIONS,
    Arithmetic,
    Best,
    Element,
    Event,
    Negative,
    Number,
    Probability,
    Rank,
    Summary,
    written,
)  # fmt: skip

CANDIDATES = ("gpt-4t", "llama2-70b", "two words")


def dataset(score, names=CANDIDATES, **more):
    """Draws of a headline estimand (chains, draws, candidates) and of others without dimensions."""
    return xr.Dataset(
        {
            "score": (("chain", "draw", "candidate"), score, {"headline": 1}),
            **{k: (("chain", "draw"), v) for k, v in more.items()},
        },
        coords={"candidate": list(names)},
    )


@pytest.fixture(scope="module")
def draws():
    rng = np.random.default_rng(3)
    return dataset(rng.normal([0.0, 0.6, 0.3], 1.0, size=(4, 500, 3)), risk=rng.beta(2, 30, size=(4, 500)))


def flat(draws, name="score"):
    x = draws[name].values
    return x.reshape(2000, *x.shape[2:])


# -- what claims mean ---------------------------------------------------------------------------------------------


def test_figures_are_those_of_the_tables(draws):
    """Every figure equals NumPy's, or the function of `estimands` that the tables use."""
    x, risk = flat(draws), flat(draws, "risk")
    order, place = p_above(x), ranks(x)
    expected = {
        "P(gpt-4t > llama2-70b) > 0.95": order[0, 1],
        'P(`two words` < gpt-4t) > 0.5': order[0, 2],
        "mean(score[gpt-4t] - llama2-70b) > 0": x[:, 0].mean() - x[:, 1].mean(),
        "mean(gpt-4t) - mean(llama2-70b) > 0": x[:, 0].mean() - x[:, 1].mean(),
        "lower(risk) > 0.02": interval(risk)[0],
        "upper(risk, 0.8) < 3": interval(risk, 0.8)[1],
        "median(risk) < 0.1": np.median(risk),
        "sd(risk) < 0.1": risk.std(ddof=1),
        "P(rank(gpt-4t) <= 2) > 0.5": np.mean(place[:, 0] <= 2),
        "mean(rank(llama2-70b)) < 2": place[:, 1].mean(),
        "P(best(llama2-70b)) > 0.5": p_best(place)[1],
        "mean(risk) / sd(risk) > 1": risk.mean() / risk.std(ddof=1),
        "2 * mean(risk) + 1 > -(3 - 4.5)": 2 * risk.mean() + 1,
        "P(risk * 2 - 0.1 > gpt-4t / 4) > 0.1": np.mean(risk * 2 - 0.1 > x[:, 0] / 4),
    }  # fmt: skip
    for text, value in expected.items():
        found = Claim.parse(text, draws).value(draws)
        assert found.value == pytest.approx(value, abs=1e-12), text
        assert found.margin == pytest.approx(abs(found.value - found.threshold) * (1 if found.holds else -1), abs=1e-12)
        assert 0.0 < found.mcse < 0.2
        relation = Claim.parse(text, draws).relation
        true = found.value > found.threshold if ">" in relation else found.value < found.threshold
        assert found.holds == true and (found.margin > 0) == true, text


def test_an_event_alone_is_a_claim_of_that_probability(draws):
    for text, full in (
        ("gpt-4t > llama2-70b", "P(score[gpt-4t] > score[llama2-70b]) >= 0.95"),
        ("rank(gpt-4t) <= 3", "P(rank(score[gpt-4t]) <= 3) >= 0.95"),
        ("best(gpt-4t)", "P(best(score[gpt-4t])) >= 0.95"),
        ("0.95 < P(gpt-4t > 0)", "P(score[gpt-4t] > 0) > 0.95"),
        ("lower(risk) ≥ .02", "lower(risk, 0.95) >= 0.02"),
    ):
        assert repr(Claim.parse(text, draws)) == full
    assert repr(Claim.parse("gpt-4t > 1", draws, prob=0.8)) == "P(score[gpt-4t] > 1) >= 0.8"
    assert repr(Claim.parse("upper(risk) < 1", draws, prob=0.8)) == "upper(risk, 0.8) < 1"
    # the rank claim is about the upper end of the one-sided interval: the two-sided one at 90 % has the same end
    place = ranks(flat(draws))
    for top in (1, 2, 3):
        holds = Claim.parse(f"rank(gpt-4t) <= {top}", draws).value(draws).holds
        assert holds == (rank_interval(place, 0.9)[0, 1] <= top)


def test_operators_bind_as_in_mathematics(draws):
    """Against the same expression in Python on the same draws."""
    r = flat(draws, "risk")
    for text, value in (
        ("1 + 2 * risk", 1 + 2 * r), ("(1 + 2) * risk", 3 * r), ("1 - risk - 2", -1 - r), ("1 - (risk - 2)", 3 - r),
        ("8 / 2 / (1 + risk)", 4 / (1 + r)), ("8 / (2 / (1 + risk))", 4 * (1 + r)), ("-risk * -2", 2 * r), ("--risk", r),
        ("2e-1 * risk + .5", 0.2 * r + 0.5), ("-(risk + 1)", -r - 1),
    ):  # fmt: skip
        found = Claim.parse(f"mean({text}) > 0", draws)
        assert found.value(draws).value == pytest.approx(value.mean(), abs=1e-12), text


def test_close_calls_and_missing_draws():
    rng = np.random.default_rng(0)
    x = rng.normal(0.0, 1.0, size=(4, 500, 2))
    found = dataset(x, names=("a", "b"))
    mean, error = x[..., 0].mean(), diagnostics(x[..., :1])["mcse_mean"][0]
    for shift, state in ((3.0, "does not hold"), (1.0, "too close to call"), (-1.0, "too close to call"), (-3.0, "holds")):
        answer = Claim.parse(f"mean(a) > {float(mean + shift * error)!r}", found).value(found)
        assert answer.state == state and answer.mcse == pytest.approx(error, rel=1e-9)
    broken = found.copy(deep=True)
    broken["score"][0, 0, 0] = np.nan
    for text, state in (("mean(a) > 0", "not computed"), ("P(rank(b) <= 1) > 0", "not computed"), ("mean(b) > -1", "holds")):
        answer = Claim.parse(text, broken).value(broken)
        assert answer.state == state
        assert (json.loads(answer.to_json())["margin"] is None) == (state == "not computed")
    short = found.isel(draw=slice(0, 3))
    assert Claim.parse("mean(a) > 0", short).value(short).state == "not computed"  # no Monte Carlo error can be told


def test_never_and_always_have_an_error_too(draws):
    """A share of 1 among 2,000 independent draws leaves about 1 / 2,000 open."""
    for text in ("P(risk < 2) > 0.9", "P(risk > 2) < 0.1", "P(best(gpt-4t)) < 2"):
        assert Claim.parse(text, draws).value(draws).mcse > 0
    assert Claim.parse("P(risk < 2) > 0.9", draws).value(draws).mcse == pytest.approx(1 / 2002, rel=0.3)
    assert Claim.parse("P(risk < 2) > 0.9999", draws).value(draws).state == "too close to call"


TRUTH = stats.norm(0.3, 1.0)
CALIBRATED = {
    "mean(x) > 0": 0.3,
    "P(x > 1) > 0.5": TRUTH.sf(1.0),
    "sd(x) > 0": 1.0,
    "median(x) > 0": 0.3,
    "lower(x, 0.8) > 0": TRUTH.ppf(0.1),
    "upper(x, 0.9) > 0": TRUTH.ppf(0.95),
    "mean(x) / sd(x) > 0": 0.3,
    "P(x > 0) - P(x > 1) > 0": TRUTH.sf(0.0) - TRUTH.sf(1.0),
    "mean(x) * P(x > 0) > 0": 0.3 * TRUTH.sf(0.0),
}


@pytest.mark.parametrize("weighted", [False, True])
def test_monte_carlo_errors_are_the_errors(weighted):
    """250 runs of autocorrelated chains (AR(1), 0.6; 4 x 250 draws) with known truths, with and without weights that move
    Normal(0, 1) to Normal(0.3, 1). (value - truth) / mcse has sd 1: its own error is 0.045, biases of some 0.05 come on top.
    """
    rng = np.random.default_rng(5)
    z = {text: [] for text in CALIBRATED}
    for _ in range(250):
        noise = rng.normal(size=(4, 250))
        x = np.empty_like(noise)
        x[:, 0] = noise[:, 0]
        for t in range(1, 250):
            x[:, t] = 0.6 * x[:, t - 1] + np.sqrt(1 - 0.36) * noise[:, t]
        weights = None
        if weighted:
            weights = np.exp(0.3 * x - 0.045).reshape(-1)
            weights /= weights.sum()
        else:
            x = x + 0.3
        found = xr.Dataset({"x": (("chain", "draw"), x)})
        for text, truth in CALIBRATED.items():
            answer = Claim.parse(text, found).value(found, weights)
            z[text].append((answer.value - truth) / answer.mcse)
    for text, scores in z.items():
        assert abs(np.mean(scores)) < 0.3, text  # a ratio or a weighted spread is biased by some 1 / ess
        assert 0.8 < np.std(scores) < 1.25, text


def test_weights_are_checked_and_equal_ones_change_nothing(draws):
    claim = Claim.parse("P(gpt-4t > llama2-70b) > 0.5", draws)
    even = claim.value(draws, np.full(2000, 1 / 2000))
    assert even.value == pytest.approx(claim.value(draws).value, abs=1e-12)
    assert even.mcse == pytest.approx(claim.value(draws).mcse, rel=1e-9)
    # only draws in which the claim is true
    x = flat(draws)
    above = (x[:, 0] > x[:, 1]).astype(float)
    assert claim.value(draws, above / above.sum()).value == pytest.approx(1.0)
    for bad in (np.ones(10) / 10, np.full(2000, 1.0), np.r_[np.full(1999, 1 / 1999), -0.0001]):
        with pytest.raises(SpecificationError, match="weights"):
            claim.value(draws, bad)
    with pytest.raises(SpecificationError, match="do not have"):
        claim.value(draws.drop_vars("score"))
    with pytest.raises(SpecificationError, match="no label"):
        claim.value(draws.assign_coords(candidate=["a", "b", "c"]))


# -- what is refused ----------------------------------------------------------------------------------------------

FAULTS = (
    ("", 0, "it is empty"),
    ("   ", 0, "it is empty"),
    ("gpt-4t", 6, "a comparison"),
    ("P(gpt5 > llama2-70b) > .9", 2, "Did you mean 'gpt-4t'"),
    ("P(gpt-4t) > 1", 2, "needs a comparison inside"),
    ("gpt-4t > three words", 9, "no label of a headline one"),
    ("risk > mean(risk)", 0, "differs from draw to draw"),
    ("mean(risk) > risk", 13, "differs from draw to draw"),
    ("mean(risk) + risk > 1", 13, "differs from draw to draw"),
    ("mean(risk) > 3 > 2", 15, "one comparison"),
    ("mean(risk) == 3", 11, "compare by"),
    ("mean(risk) = 3", 11, "compare by"),
    ("mean(risk) != 3", 11, "compare by"),
    ("mean(risk) > 1 and sd(risk) < 2", 15, "one comparison"),
    ("mean(risk) > 1 & sd(risk) < 2", 15, "one comparison"),
    ("3 > 2", 0, "two numbers"),
    ("P(3 > 2) > 1", 2, "two numbers"),
    ("men(risk) > 3", 0, "Did you mean 'mean'"),
    ("score > 1", 0, "score[gpt-4t]"),
    ("scor[gpt-4t] > 1", 0, "Did you mean 'score'"),
    ("score[gpt-4] > 1", 6, "Did you mean 'gpt-4t'"),
    ("score[two words] > 1", 6, 'written in quotes: "two words"'),
    ("gpt-4t > two words", 9, 'written in quotes: "two words"'),
    ("score[two thirds] > 1", 6, "written in quotes"),
    ("score[gpt-4t, 2] > 1", 14, "1 dimensions"),
    ("score[gpt-4t > 1", 13, '"]" is missing'),
    ("score[] > 1", 6, "label is missing"),
    ("risk[a] > 1", 5, "0 dimensions"),
    ("gpt-4t-llama2-70b > 0", 0, "blanks around the minus"),
    ("lower(risk, 95) > 0", 12, "between 0 and 1"),
    ("lower(risk, a) > 0", 12, "between 0 and 1"),
    ("lower(3) > 0", 6, "needs an element"),
    ("mean(P(risk > 1)) > 2", 5, "needs an element"),
    ("mean(risk, 0.9) > 2", 9, "closes mean("),
    ("P(mean(risk) > 1) > 2", 2, "inside P(..) stand draws"),
    ("P(risk > 0 > 0.95", 11, "one comparison"),
    ("P(risk > 0 + > 0.95", 13, "missing here"),
    ("(mean(risk) > 1", 12, "closing parenthesis"),
    ("mean(risk)) > 1", 10, ") is not expected"),
    ("mean(risk) > 1 2", 15, "operator is missing"),
    ("mean risk > 1", 0, "no estimand"),
    ('"a', 0, "never closed"),
    ("`a", 0, "never closed"),
    ('"\\q" > 1', 1, "backslash"),
    ('"\\u12" > 1', 1, "backslash"),
    ('"\\U00ffffff" > 1', 1, "backslash"),
    ("rank(risk) < 3", 5, "along one dimension"),
    ("rank(gpt-4t + 1) < 3", 5, "one element"),
    ("best(gpt-4t) > .5", 0, "P(best(..))"),
    (".5 < best(gpt-4t)", 5, "P(best(..))"),
    ("best(gpt-4t) + 1 > .5", 0, "cannot be reckoned"),
    ("-best(gpt-4t) > .5", 1, "cannot be reckoned"),
    ("mean(risk) > 1e999", 13, "too large"),
    ("risk § 3", 5, "means nothing"),
    ("risk > $3", 7, "means nothing"),
    ("(" * 60 + "risk" + ")" * 60 + " > 1", 40, "deep"),
    ("-" * 60 + "risk > 1", 40, "deep"),
    ("日本 > risk", 0, "no estimand"),
    ("'gpt-4t' > 1", 0, "in quotes"),
)


@pytest.mark.parametrize(("text", "at", "words"), FAULTS, ids=[f[0][:25] or "empty" for f in FAULTS])
def test_faults_are_shown_with_a_caret(draws, text, at, words):
    with pytest.raises(SpecificationError) as caught:
        Claim.parse(text, draws)
    message = str(caught.value)
    first, shown, caret = message.split("\n")
    assert words in first, message
    place = len(caret) - len(caret.lstrip())
    assert caret.strip() and set(caret.strip()) == {"^"}
    assert place == at + 2, message
    if text.strip():
        assert shown.strip()[:8] == text.strip()[:8]


def test_other_faults(draws):
    for bad in (3, None, ["P(a > b) > 1"]):
        with pytest.raises(SpecificationError, match="A claim is text"):
            Claim.parse(bad, draws)
    with pytest.raises(SpecificationError, match="prob=95"):
        Claim.parse("gpt-4t > 0", draws, prob=95)
    with pytest.raises(SpecificationError, match="signs"):
        Claim.parse("risk > " + "1 + " * 6000 + "1", draws)
    long = "P(" + " + ".join(["risk"] * 60) + " > nothing) > 0.5"
    with pytest.raises(SpecificationError) as caught:
        Claim.parse(long, draws)
    _, shown, caret = str(caught.value).split("\n")
    assert shown[caret.index("^") :].startswith("nothing") and len(shown) < 140
    both = draws.assign(other=draws["score"])
    with pytest.raises(SpecificationError, match=r"write score\[gpt-4t\] or other\[gpt-4t\]"):
        Claim.parse("gpt-4t > 0", both)
    twice = dataset(draws["score"].values, names=(1, "1", "x"))
    for text in ("score[1] > 0", '"1" > 0'):
        with pytest.raises(SpecificationError, match="more than one element"):
            Claim.parse(text, twice)
    wide = xr.Dataset({"share": (("chain", "draw", "a", "b"), np.ones((2, 20, 2, 2)))}, {"a": ["u", "v"], "b": [1, 2]})
    assert Claim.parse("mean(share[v, 2]) > 0", wide).value(wide).value == 1.0
    with pytest.raises(SpecificationError, match="2 dimensions; 1 labels"):
        Claim.parse("mean(share[v]) > 0", wide)
    with pytest.raises(SpecificationError, match="along one dimension"):
        Claim.parse("rank(share[v, 2]) < 2", wide)


def test_names_of_functions_are_free_for_estimands():
    """An estimand may be called mean, P or rank: only a parenthesis makes a function."""
    x = np.random.default_rng(0).normal(size=(2, 50, 2))
    found = xr.Dataset({"mean": (("chain", "draw", "c"), x), "P": (("chain", "draw"), x[..., 0])}, {"c": ["P", "b"]})
    answer = Claim.parse("mean(mean[P] - P) < 1", found).value(found)
    assert answer.value == 0.0
    assert repr(Claim.parse("P(P > b) > 0.1", found)) == "P(P > mean[b]) > 0.1"


# -- canonical text -----------------------------------------------------------------------------------------------

LABELS = (*NASTY, "plain", "gpt-4t", "org:model@v1.5", "3", "1.5", "1e5", "-1", "P", "mean", "a]b", "x[y]", "²", "a-b")
NAMES = ("score", "mean", "P", "2", "odd name", "risk")
WORDS = Vocabulary({**{n: (LABELS,) for n in NAMES[:5]}, "risk": (), "wide": (LABELS, ("1", "2"))}, ("score",))

numbers = st.floats(allow_nan=False, allow_infinity=False).map(Number)
singles = st.builds(Element, st.sampled_from(NAMES[:5]), st.sampled_from(LABELS).map(lambda v: (v,)))
wides = st.builds(lambda a, b: Element("wide", (a, b)), st.sampled_from(LABELS), st.sampled_from(["1", "2"]))
atoms = st.one_of(singles, wides, st.just(Element("risk")), st.builds(Rank, singles))


def grown(base):
    """Arithmetic over a base; a minus sign before a number is part of the number."""

    def grow(inner):
        turned = inner.map(lambda t: Number(-t.value) if isinstance(t, Number) else Negative(t))
        return st.one_of(turned, st.builds(Arithmetic, inner, st.sampled_from("+-*/"), inner))

    return st.recursive(st.one_of(base, numbers), grow, max_leaves=6)


def about(term, kinds):
    match term:
        case Number():
            return False
        case Negative(of):
            return about(of, kinds)
        case Arithmetic(left, _, right):
            return about(left, kinds) or about(right, kinds)
    return isinstance(term, kinds)


drawn = grown(atoms).filter(lambda t: about(t, (Element, Rank)))
events = st.one_of(st.builds(Event, drawn, st.sampled_from(RELATIONS), grown(atoms)), st.builds(Best, singles))
probs = st.floats(0.01, 0.99)
ends = st.builds(Summary, st.sampled_from(["lower", "upper"]), drawn, probs)
summaries = st.one_of(st.builds(Summary, st.sampled_from(["mean", "median", "sd"]), drawn), ends)
figures = grown(st.one_of(st.builds(Probability, events), summaries)).filter(lambda t: about(t, (Probability, Summary)))
right_sides = st.one_of(numbers, figures)


@settings(max_examples=300, deadline=None)
@given(figures, st.sampled_from(RELATIONS), right_sides)
def test_canonical_text_parses_to_the_same_claim(left, relation, right):
    claim = Claim(left, relation, right)
    text = repr(claim)
    assert text.isprintable()
    again = Claim.parse(text, WORDS)
    assert again == claim and repr(again) == text
    assert Claim.parse(claim, WORDS) is claim


@pytest.mark.parametrize("label", LABELS, ids=range(len(LABELS)))
def test_every_label_can_be_written(label):
    text = f"mean({written(Element('score', (label,)))}) > 0"
    assert Claim.parse(text, WORDS).left == Summary("mean", Element("score", (label,)))
    if "`" not in label:
        assert Claim.parse(f"mean(score[`{label}`]) > 0", WORDS).left.of.labels == (label,)


PIECES = [*FUNCTIONS, *RELATIONS, *'()[],+-*/"`', "risk", "plain", "0.5", " "]


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=40), st.lists(st.sampled_from(PIECES), max_size=14).map("".join)))
def test_no_text_breaks_the_parser(text):
    """Anything at all is either a claim with a canonical text or a refusal with a caret."""
    try:
        found = Claim.parse(text, WORDS)
    except SpecificationError as error:
        assert "^" in str(error)
    else:
        assert Claim.parse(repr(found), WORDS) == found


# -- of a fit -----------------------------------------------------------------------------------------------------


def test_a_fit_answers(normal_fit):
    mean, sd = normal_fit.spec.closed_form(normal_fit.statistics)
    exact = stats.norm.sf(1.0, mean[2], sd[2])
    found = normal_fit.claim("P(mean[c] > 1) > 0.5")
    assert found.state == "holds" and abs(found.value - exact) < 4 * found.mcse and found.verdict == ""
    assert repr(found).startswith("P(mean[c] > 1) > 0.5 holds: 0.9")
    assert found.table["state"].item() == "holds" and json.loads(found.to_json())["schema"] == "bayeskit.claim/1"
    assert normal_fit.claim("c > 1", prob=0.5).claim == "P(mean[c] > 1) >= 0.5"
    weak = normal_fit.refit(draws=20, tune=20, chains=2)
    assert repr(weak.claim("mean(c) > 0")).startswith("The checks of this fit did not pass (")
    with pytest.raises(SpecificationError, match="Did you mean 'spread'"):
        normal_fit.claim("mean(spred) > 1")


def test_labels_are_escaped_in_html(draws):
    nasty = dataset(draws["score"].values, names=("<script>alert(1)</script>", "b", "c"))
    found = Claim.parse("P(`<script>alert(1)</script>` > b) > 0.1", nasty).value(nasty)
    assert "<script>" not in found._repr_html_() and "<script>" in repr(found)
