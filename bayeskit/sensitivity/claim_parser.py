"""From the text of a claim to its tree: a tokenizer and a recursive descent, with a caret under every fault.

Nothing is evaluated: names are looked up among the estimands of a fit, and everything else is refused.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn, cast

from bayeskit.errors import SpecificationError, show, suggest
from bayeskit.sensitivity.claim_terms import (
    FUNCTIONS,
    NUMBER,
    RELATIONS,
    SUMMARIES,
    WORD,
    Arithmetic,
    Best,
    Element,
    Event,
    Negative,
    Number,
    Operator,
    Probability,
    Rank,
    Relation,
    Summary,
    Term,
    quoted,
    written,
)  # fmt: skip

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Vocabulary", "parse_claim"]

_LONGEST, _DEEPEST = 20_000, 40
_MIRROR: dict[Relation, Relation] = {">": "<", "<": ">", ">=": "<=", "<=": ">="}
_SAME = {"≥": ">=", "≤": "<=", "−": "-", "×": "*", "·": "*", "÷": "/"}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "`": "`"}


@dataclass(frozen=True)
class Vocabulary:
    """The names that a claim may use.

    Attributes
    ----------
    labels : mapping of str to tuple of tuple of str
        For every estimand the labels of each of its own dimensions.
    headline : tuple of str
        Estimands whose labels may stand alone.
    """

    labels: Mapping[str, tuple[tuple[str, ...], ...]]
    headline: tuple[str, ...]

    @classmethod
    def of(cls, estimands: xr.Dataset) -> Vocabulary:
        """Read the names off a Dataset of draws."""
        found = {str(name): tuple(_labels(v, d) for d in _own_dims(v)) for name, v in estimands.data_vars.items()}
        headline = tuple(str(n) for n, v in estimands.data_vars.items() if v.attrs.get("headline"))
        return cls(found, headline or tuple(found))


def _own_dims(variable: xr.DataArray) -> list[Any]:
    return [d for d in variable.dims if d not in ("chain", "draw")]


def _labels(variable: xr.DataArray, dim: Any) -> tuple[str, ...]:
    """Labels of a dimension as text; positions where it has none."""
    values = variable.coords[dim].values if dim in variable.coords else range(variable.sizes[dim])
    return tuple(str(v) for v in values)


@dataclass(frozen=True)
class _Token:
    kind: str  # number, word, text (quoted), sign, end
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class _Part:
    """A parsed piece: its term, whether it is draws, a figure, a plain number or an event, and where it stands."""

    term: Any
    kind: str
    start: int
    end: int


def parse_claim(text: str, vocabulary: Vocabulary, prob: float) -> tuple[Term, Relation, Term]:
    """Parse a claim into two figures and how they are compared; see `bayeskit.sensitivity.Claim.parse`."""
    if not isinstance(text, str):
        raise SpecificationError(f'A claim is text, such as "P(A > B) > 0.95"; got {show(text)}.')
    if not 0.0 < prob < 1.0:
        raise SpecificationError(f"prob={prob!r}: must lie strictly between 0 and 1.")
    parser = _Parser(text, vocabulary, prob)
    if len(text) > _LONGEST:
        raise SpecificationError(f"The claim has {len(text)} signs; at most {_LONGEST} are read.")
    return parser.claim()


@dataclass
class _Parser:
    text: str
    vocabulary: Vocabulary
    prob: float
    tokens: list[_Token] = field(default_factory=list)
    at: int = 0
    depth: int = 0

    # -- signs -----------------------------------------------------------------------------------------------------

    def fail(self, problem: str, start: int, end: int | None = None) -> NoReturn:
        """Refuse the claim, with a caret under the fault."""
        end = max(start + 1, start + 1 if end is None else end)
        shown = "".join(c if c.isprintable() else "?" for c in self.text)
        wide = [2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in shown] + [1] * (end - len(shown) + 1)
        first = max(0, start - 60)  # long claims are shown around the fault
        window = shown[first : end + 40]
        dots = "..." if first else ""
        pad = " " * (len(dots) + sum(wide[first:start]))
        caret = "^" * min(sum(wide[start:end]), 60)
        raise SpecificationError(f"The claim cannot be read: {problem}\n  {dots}{window}\n  {pad}{caret}")

    def tokenize(self) -> None:
        at, text = 0, self.text
        while at < len(text):
            if text[at].isspace():
                at += 1
                continue
            token = self._token(at)
            self.tokens.append(token)
            at = token.end
        self.tokens.append(_Token("end", "", len(text), len(text)))

    def _token(self, at: int) -> _Token:
        text = self.text
        if text[at] in '"`':
            return self._quoted_text(at)
        number, word = NUMBER.match(text, at), WORD.match(text, at)
        if number and (word is None or number.end() >= word.end()):
            return _Token("number", number.group(), at, number.end())
        if word:
            return _Token("word", word.group(), at, word.end())
        for sign in RELATIONS:
            if text.startswith(sign, at) and not text.startswith("==", at + len(sign) - 1):
                return _Token("sign", sign, at, at + len(sign))
        if text[at] in _SAME:
            return _Token("sign", _SAME[text[at]], at, at + 1)
        if text[at] in "()[],+-*/":
            return _Token("sign", text[at], at, at + 1)
        if text[at] in "=!":
            self.fail("claims compare by >, >=, < or <=.", at)
        if text[at] in "&|":
            self.fail("a claim is one comparison; ask for several one by one.", at)
        self.fail(f'{show(text[at])} means nothing here. A label with such signs is written in quotes: "...".', at)

    def _quoted_text(self, start: int) -> _Token:
        mark, at, out, text = self.text[start], start + 1, [], self.text
        while at < len(text) and text[at] != mark:
            if mark == '"' and text[at] == "\\":
                sign, at = self._escape(at)
                out.append(sign)
            else:
                out.append(text[at])
                at += 1
        if at >= len(text):
            self.fail(f"the quotes that open here are never closed by another {mark}.", start)
        return _Token("text", "".join(out), start, at + 1)

    def _escape(self, at: int) -> tuple[str, int]:
        sign = self.text[at + 1 : at + 2]
        if sign in _ESCAPES and sign:
            return _ESCAPES[sign], at + 2
        size = {"u": 4, "U": 8}.get(sign, 0)
        digits = self.text[at + 2 : at + 2 + size]
        if size and len(digits) == size and all(c in "0123456789abcdefABCDEF" for c in digits) and int(digits, 16) < 0x110000:
            return chr(int(digits, 16)), at + 2 + size
        self.fail('inside "..." a backslash stands before a backslash, a quote, n, t, r, uXXXX or UXXXXXXXX; inside `...` '
                  "everything stands for itself.", at, at + 2)  # fmt: skip

    @property
    def now(self) -> _Token:
        return self.tokens[self.at]

    def take(self, *signs: str) -> _Token | None:
        """The next token if it is one of these signs."""
        if self.now.kind == "sign" and self.now.text in signs:
            self.at += 1
            return self.tokens[self.at - 1]
        return None

    def expect(self, sign: str, what: str) -> _Token:
        found = self.take(sign)
        if found is None:
            self.fail(f"{what} is missing here.", self.now.start, self.now.end)
        return found

    # -- claims ----------------------------------------------------------------------------------------------------

    def claim(self) -> tuple[Term, Relation, Term]:
        self.tokenize()
        if self.now.kind == "end":
            self.fail('it is empty. An example: "P(A > B) > 0.95".', 0)
        left = self.sum()
        if left.kind == "event" and self.now.kind == "end":  # best(X) alone
            return Probability(left.term), ">=", Number(self.prob)
        relation, right = self.comparison(left)
        if self.now.kind != "end":
            self.trailing()
        if "draws" in (left.kind, right.kind):
            self.same_kind(left, right)
            return Probability(Event(left.term, relation, right.term)), ">=", Number(self.prob)
        if left.kind == right.kind == "number":
            self.fail("it compares two numbers. One side must be about the posterior.", left.start, right.end)
        if left.kind == "number":  # 0.95 < P(..) is P(..) > 0.95: what is compared stands first
            return right.term, _MIRROR[relation], left.term
        return left.term, relation, right.term

    def comparison(self, left: _Part) -> tuple[Relation, _Part]:
        sign = self.take(*RELATIONS)
        if sign is None:
            if self.now.kind == "end":
                self.fail("a comparison with >, >=, < or <= is missing here.", self.now.start)
            self.trailing()
        if left.kind == "event":
            self.fail("best(..) is true or false, not a number: ask for its probability, P(best(..)).", left.start, left.end)
        right = self.sum()
        if right.kind == "event":
            self.fail("best(..) is true or false, not a number: ask for its probability, P(best(..)).", right.start, right.end)
        return cast(Relation, sign.text), right

    def trailing(self) -> NoReturn:
        token = self.now
        if token.kind == "sign" and token.text in RELATIONS:
            self.fail("a claim is one comparison; ask for several one by one.", token.start, token.end)
        if token.kind == "word" and token.text.casefold() in ("and", "or", "not"):
            self.fail("a claim is one comparison; ask for several one by one.", token.start, token.end)
        if token.kind in ("word", "text", "number"):
            self.fail('an operator is missing before this. A label of several words is written in quotes: "...".',
                      token.start, token.end)  # fmt: skip
        self.fail(f"{token.text or 'the end'} is not expected here.", token.start, token.end)

    def same_kind(self, left: _Part, right: _Part) -> None:
        """Draws and figures cannot stand in one sum or comparison: one differs from draw to draw, the other does not."""
        kinds = {left.kind, right.kind}
        if kinds == {"draws", "figure"}:
            part = left if left.kind == "draws" else right
            self.fail(
                f"{written(part.term)} differs from draw to draw and the other side does not: write mean(..), lower(..) or "
                "another summary of it.", part.start, part.end,
            )  # fmt: skip

    # -- arithmetic ------------------------------------------------------------------------------------------------

    def sum(self) -> _Part:
        return self.chain(("+", "-"), self.product)

    def product(self) -> _Part:
        return self.chain(("*", "/"), self.unary)

    def chain(self, signs: tuple[str, ...], part: Any) -> _Part:
        left: _Part = part()
        while sign := self.take(*signs):
            right: _Part = part()
            if "event" in (left.kind, right.kind):
                self.fail("best(..) is true or false and cannot be reckoned with.", left.start, right.end)
            self.same_kind(left, right)
            kind = next((k for k in ("draws", "figure") if k in (left.kind, right.kind)), "number")
            left = _Part(Arithmetic(left.term, cast(Operator, sign.text), right.term), kind, left.start, right.end)
        return left

    def unary(self) -> _Part:
        sign = self.take("-", "+")
        if sign is None:
            return self.atom()
        self.deeper(sign)
        inner = self.unary()
        self.depth -= 1
        if inner.kind == "event":
            self.fail("best(..) is true or false and cannot be reckoned with.", inner.start, inner.end)
        if sign.text == "+":
            return inner
        term = Number(-inner.term.value) if isinstance(inner.term, Number) else Negative(inner.term)
        return _Part(term, inner.kind, sign.start, inner.end)

    def deeper(self, token: _Token) -> None:
        self.depth += 1
        if self.depth > _DEEPEST:
            self.fail(f"it is nested more than {_DEEPEST} deep.", token.start)

    def atom(self) -> _Part:
        token = self.now
        if token.kind == "number":
            self.at += 1
            value = float(token.text)
            if value in (float("inf"), float("-inf")):
                self.fail("this number is too large.", token.start, token.end)
            return _Part(Number(value), "number", token.start, token.end)
        if opening := self.take("("):
            self.deeper(opening)
            inner = self.sum()
            self.depth -= 1
            closing = self.expect(")", "a closing parenthesis")
            return _Part(inner.term, inner.kind, opening.start, closing.end)
        if token.kind == "word" and self.tokens[self.at + 1].text == "(" and self.tokens[self.at + 1].kind == "sign":
            return self.call()
        if token.kind in ("word", "text"):
            return self.reference()
        self.fail("a name, a number or a function is missing here.", token.start, token.end)

    # -- functions -------------------------------------------------------------------------------------------------

    def call(self) -> _Part:
        name = self.now
        if name.text not in FUNCTIONS:
            near = suggest(name.text, FUNCTIONS)
            self.fail(f"no function {name.text!r}.{near} Functions: {', '.join(FUNCTIONS)}.", name.start, name.end)
        self.at += 2
        self.deeper(name)
        term: Any
        if name.text == "P":
            kind, term = "figure", Probability(self.event())
        elif name.text in SUMMARIES:
            kind, term = "figure", self.summary(name.text)
        else:
            of = self.ranked(name.text)
            kind, term = ("draws", Rank(of)) if name.text == "rank" else ("event", Best(of))
        closing = self.expect(")", f"the parenthesis that closes {name.text}(")
        self.depth -= 1
        return _Part(term, kind, name.start, closing.end)

    def event(self) -> Event | Best:
        left = self.sum()
        if left.kind == "event":
            return cast(Best, left.term)
        if self.now.kind == "sign" and self.now.text == ")":
            self.fail("P(..) needs a comparison inside, such as P(A > B), or best(A).", left.start, left.end)
        relation, right = self.comparison(left)
        if self.now.text in RELATIONS and self.now.kind == "sign":
            self.trailing()
        for part in (left, right):
            if part.kind == "figure":
                self.fail("inside P(..) stand draws, not summaries of them.", part.start, part.end)
        if left.kind == right.kind == "number":
            self.fail("it compares two numbers. One side must be about the posterior.", left.start, right.end)
        return Event(left.term, relation, right.term)

    def summary(self, kind: str) -> Summary:
        inner = self.sum()
        if inner.kind != "draws":
            self.fail(f"{kind}(..) needs an element of an estimand inside.", inner.start, inner.end)
        if kind not in ("lower", "upper"):
            return Summary(kind, inner.term)
        if not self.take(","):
            return Summary(kind, inner.term, self.prob)
        token = self.now
        prob = float(token.text) if token.kind == "number" else float("nan")
        if not 0.0 < prob < 1.0:
            self.fail("the probability of an interval is a number between 0 and 1, such as 0.95.", token.start, token.end)
        self.at += 1
        return Summary(kind, inner.term, prob)

    def ranked(self, function: str) -> Element:
        token = self.now
        part = self.sum()
        if not isinstance(part.term, Element):
            self.fail(f"{function}(..) takes one element of an estimand.", part.start, part.end)
        if len(part.term.labels) != 1:
            self.fail(
                f"{function}(..) compares along one dimension; {part.term.estimand} has {len(part.term.labels)}.",
                token.start, part.end,
            )  # fmt: skip
        return part.term

    # -- names -----------------------------------------------------------------------------------------------------

    def reference(self) -> _Part:
        token = self.now
        self.at += 1
        known = self.vocabulary.labels
        if self.take("["):
            if token.text not in known:
                self.fail(f"no estimand {token.text!r}.{_near(token.text, known)}", token.start, token.end)
            labels, end = self.labels(token.text)
            return _Part(Element(token.text, labels), "draws", token.start, end)
        if token.text in known:
            if known[token.text]:
                example = ", ".join(quoted(d[0]) for d in known[token.text] if d)
                self.fail(f"{token.text} has several elements: name one, such as {quoted(token.text, name=True)}[{example}].",
                          token.start, token.end)  # fmt: skip
            return _Part(Element(token.text), "draws", token.start, token.end)
        return self.bare_label(token)

    def bare_label(self, token: _Token) -> _Part:
        """A label of a headline estimand without the estimand's name."""
        single = {n: self.vocabulary.labels[n][0] for n in self.vocabulary.headline if len(self.vocabulary.labels[n]) == 1}
        found = [n for n, labels in single.items() if token.text in labels]
        if len(found) > 1:
            ways = " or ".join(f"{quoted(n, name=True)}[{quoted(token.text)}]" for n in found)
            self.fail(f"{token.text!r} is a label of several estimands: write {ways}.", token.start, token.end)
        if not found:
            options = [*self.vocabulary.labels, *(v for labels in single.values() for v in labels)]
            hint = _near(token.text, options)
            ends = [i for i, c in enumerate(token.text) if c == "-"] if token.kind == "word" else []
            if any(token.text[:i] in options and token.text[i + 1 :] in options for i in ends):
                hint = " To subtract, write blanks around the minus sign."
            hint = self.in_quotes(token, options) or hint
            self.fail(f"no estimand, and no label of a headline one, is {show(token.text)}.{hint}", token.start, token.end)
        if single[found[0]].count(token.text) > 1:
            self.fail(f"{token.text!r} is the label of more than one element of {found[0]}.", token.start, token.end)
        return _Part(Element(found[0], (token.text,)), "draws", token.start, token.end)

    def in_quotes(self, token: _Token, options: Sequence[str]) -> str:
        """The hint that a label of several words needs quotes, where the words that stand here are one."""
        for later in self.tokens[self.at : self.at + 8]:
            whole = self.text[token.start : later.end]
            if later.kind != "end" and whole in options:
                return f" A label of several words is written in quotes: {quoted(whole)}."
        return ""

    def labels(self, estimand: str) -> tuple[tuple[str, ...], int]:
        dims = self.vocabulary.labels[estimand]
        found: list[str] = []
        while True:
            token = self.now
            if token.kind not in ("word", "text", "number"):
                self.fail('a label is missing here. Labels with operators or brackets are written in quotes: "...".',
                          token.start, token.end)  # fmt: skip
            self.at += 1
            self.check_label(token, estimand, dims, len(found))
            found.append(token.text)
            if closing := self.take("]"):
                break
            if not self.take(","):
                self.fail('"]" is missing here. Labels with blanks, operators or brackets are written in quotes: "...".',
                          self.now.start, self.now.end)  # fmt: skip
        if len(found) != len(dims):
            self.fail(f"{estimand} has {len(dims)} dimensions; {len(found)} labels are given.", closing.start)
        return tuple(found), closing.end

    def check_label(self, token: _Token, estimand: str, dims: tuple[tuple[str, ...], ...], place: int) -> None:
        if place >= len(dims):
            self.fail(f"{estimand} has {len(dims)} dimensions; this is label {place + 1}.", token.start, token.end)
        count = dims[place].count(token.text)
        if count > 1:
            self.fail(f"{show(token.text)} is the label of more than one element of {estimand}.", token.start, token.end)
        if count == 0:
            near = self.in_quotes(token, dims[place]) or _near(token.text, dims[place])
            if "in quotes" not in near and self.now.text not in ("]", ","):
                near = ' Labels with blanks, operators or brackets are written in quotes: "...".'
            self.fail(f"{estimand} has no label {show(token.text)}.{near}", token.start, token.end)


def _near(name: str, options: Iterable[str]) -> str:
    """A suggestion; or, where nothing is near, the first few options."""
    options = list(options)
    found = suggest(name, options)
    if found or not options:
        return found
    told = ", ".join(show(v) for v in options[:5])
    return f" Known: {told}{', ...' if len(options) > 5 else ''}."
