"""Make text inert in each output format. Labels come from users' tables and may be anything."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["clean", "markdown_cell", "markdown_code", "markdown_text", "one_line", "slug"]

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
