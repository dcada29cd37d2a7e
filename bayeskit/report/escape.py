"""Make text inert in each output format. Labels come from users' tables and may be anything."""

from __future__ import annotations

import hashlib
import re
import unicodedata

__all__ = [
    "SIGNS_OF_LATEX",
    "clean",
    "csv_text",
    "file_name",
    "json_text",
    "latex_code",
    "latex_text",
    "markdown_cell",
    "markdown_code",
    "markdown_text",
    "one_line",
    "shortened",
    "slug",
]

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_BREAKS = re.compile(r"[\r\n\t\v\f\x1c-\x1f\x85\u2028\u2029]+")
# Punctuation that GitHub's Markdown reads as structure anywhere in a line, and what starts a bare link or a
# block. Angle brackets and ampersands become entities instead: not every renderer honours a backslash before
# them.
_ACTIVE = re.compile(r"([\\`*_{}\[\]|~$]|:(?=\S)|(?<=\bwww)\.)", re.IGNORECASE)
_BLOCK = re.compile(r"^(\d*)([#+=.)-])")
# Where a forge would make a mention or a reference of plain text, in spite of escapes.
_MENTION = re.compile(r"([@#])(?=\w)")


def clean(text: object) -> str:
    """Return text that every encoder and XML accept: control characters and lone surrogates are made visible.

    Line breaks and tabs stay. Characters that reverse the direction of writing are dropped, for a label could
    otherwise rewrite what stands beside it.
    """
    out = []
    for c in str(text):
        category = unicodedata.category(c)
        if c in "\n\t":
            out.append(c)
        elif c in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069":
            continue
        elif category in ("Cc", "Cs") or c in "\ufffe\uffff":
            out.append("\n" if c in "\r\v\f\x85" else _REPLACEMENT)
        else:
            out.append(c)
    return "".join(out)


def one_line(text: object) -> str:
    """Return clean text with every run of line breaks and tabs as one blank."""
    return _BREAKS.sub(" ", clean(text)).strip()


def markdown_text(text: object) -> str:
    """Return text as one Markdown line in which nothing is markup, HTML, link, mention or mathematics."""
    return _BLOCK.sub(r"\1\\\2", _inline(text))


def markdown_cell(text: object) -> str:
    """Return text for a cell of a Markdown table; an empty one is a dash, so the table keeps its shape."""
    return _inline(text) or "–"


def _inline(text: object) -> str:
    line = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _ACTIVE.sub(r"\\\1", _MENTION.sub("\\1\u200b", line))


def markdown_code(text: object) -> str:
    """Return a fenced block whose fence is longer than any run of backticks inside."""
    body = clean(text).rstrip("\n")
    longest = max((len(run) for run in re.findall(r"`+", body)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{body}\n{fence}"


def slug(text: object) -> str:
    """Return an identifier for anchors: lower-case ASCII letters, digits and single hyphens, never empty."""
    ascii_text = unicodedata.normalize("NFKD", str(text)).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_text.lower()).strip("-")[:60].strip("-") or "section"


def shortened(text: str, most: int) -> str:
    """Return a text of at most `most` characters: beginning and end, with the number of characters left out between them."""
    if len(text) <= most:
        return text
    left = most - 24
    head = left * 2 // 3
    return f"{text[:head]}… ({len(text) - left:,d} more) …{text[len(text) - (left - head) :]}"


# -- file names
# --------------------------------------------------------------------------------------------------------

_DEVICES = frozenset(
    ("con", "prn", "aux", "nul", *(f"com{i}" for i in range(10)), *(f"lpt{i}" for i in range(10)))
)  # names that some systems take for devices, with any suffix


def file_name(text: object, suffix: str = "") -> str:
    """Return a file name for a label: ASCII, no folder, no name of a device, and different for different labels.

    A label that is a plain name already stays as it is; any other gets eight hexadecimal digits of its digest.
    """
    label = str(text)
    base = slug(label)
    if base == label and base.split("-")[0] not in _DEVICES:
        return f"{base}{suffix}"
    digest = hashlib.sha256(label.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{'x-' if base.split('-')[0] in _DEVICES else ''}{base}-{digest}{suffix}"


# -- CSV and JSON
# --------------------------------------------------------------------------------------------------------

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\0", "|", "%", "＝", "＋", "－", "＠")
"""How a cell begins that a spreadsheet would run."""


def csv_text(text: object) -> str:
    """Return text for a cell of a spreadsheet: one line, and a quote before what would be run as a formula.

    Only for text: numbers are written as they are, so that -1.5 stays a number.
    """
    raw = clean(text)
    line = one_line(raw)
    return f"'{line}" if raw.startswith(_FORMULA) or line.startswith(_FORMULA) else line


_JSON_ACTIVE = re.compile("[<>&\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def json_text(text: str) -> str:
    """Return the text of a JSON document with every character escaped that acts in HTML, in a terminal or on the direction.

    It stays the same document for a parser: such characters stand only inside strings.
    """
    return _JSON_ACTIVE.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


# -- LaTeX
# --------------------------------------------------------------------------------------------------------

SIGNS_OF_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "#": r"\#", "$": r"\$", "%": r"\%", "&": r"\&", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    "`": r"\textasciigrave{}", "'": r"\textquotesingle{}", '"': r"\textquotedbl{}", "[": "{[}", "]": "{]}", "*": "{*}",
    "-": "-{}", "!": "!{}", "?": "?{}", ",": ",{}",
    "−": r"\ensuremath{-}", "∞": r"\ensuremath{\infty}", "≤": r"\ensuremath{\leq}", "≥": r"\ensuremath{\geq}",
    "≈": r"\ensuremath{\approx}", "±": r"\ensuremath{\pm}", "×": r"\ensuremath{\times}", "·": r"\ensuremath{\cdot}",
    "√": r"\ensuremath{\surd}", "∑": r"\ensuremath{\sum}", "∏": r"\ensuremath{\prod}", "∫": r"\ensuremath{\int}",
    "∈": r"\ensuremath{\in}", "∝": r"\ensuremath{\propto}", "→": r"\ensuremath{\rightarrow}",
    "✓": r"\ensuremath{\surd}", "✗": r"\ensuremath{\times}", "✕": r"\ensuremath{\times}", "⚠": "!{}", "ℹ": "i", "◐": "o",
    **{c: rf"\ensuremath{{\{name}}}" for c, name in {
        "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta", "η": "eta", "θ": "theta",
        "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi", "π": "pi", "ρ": "rho", "σ": "sigma", "τ": "tau",
        "φ": "phi", "χ": "chi", "ψ": "psi", "ω": "omega", "Γ": "Gamma", "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda",
        "Π": "Pi", "Σ": "Sigma", "Φ": "Phi", "Ψ": "Psi", "Ω": "Omega",
    }.items()},
}  # fmt: skip
"""Braces behind -, !, ? and commas keep apart what fonts would join; brackets and stars mean something after a line break."""


def latex_text(text: object) -> str:
    """Return text as one line of LaTeX in which nothing is a command, a comment or mathematics of the text's own."""
    return "".join(SIGNS_OF_LATEX.get(c, c) for c in one_line(text))


def latex_code(text: object) -> str:
    """Return text in typewriter, line by line: a verbatim environment would end where the text says so."""
    lines = clean(text).rstrip("\n").split("\n")
    body = []
    for line in lines:
        stripped = line.expandtabs(4).lstrip(" ")
        indent = "~" * (len(line.expandtabs(4)) - len(stripped))
        body.append(rf"\noindent\texttt{{{indent}{latex_text(stripped)}}}\par")
    return "\n".join(body)
