"""Labels that no report may let out: markup, formulas, control characters, names of devices."""

NASTY = (
    "<script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"><svg onload=alert(1)>",
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "</style><style>*{display:none}",
    "-->", "<!--", "]]>", "&lt;b&gt;", "&amp;",
    "{{ 7*7 }}", "{% include 'x' %}", "${7*7}",
    "a|b", "a\nb", "a\r\n\r\n# heading", "`code`", "```\nfence", "**bold**", "_it_", "~~gone~~",
    "[x](http://example.org)", "![x](http://example.org/x.png)", "<http://example.org>", "http://example.org",
    "www.example.org",
    "@someone", "#12", "1. item", "- item", "# head", "> quote", "$\\frac{1}{0}$", "$x$", "\\",
    "=HYPERLINK(\"x\")", "NaN", "", " ", "../../etc", "CON",
    "\\input{/etc/passwd}", "\\write18{ls}", "\\end{document}", "\\end{verbatim}", "^^M\\input{x}", "% comment", "{", "}", "$$",
    "#1", "&", "~", "a\\\\[b]", "``quoted''", "=1+1", "=cmd|'/C calc'!A0", "+1+1", "-1+1", "@SUM(1)", "\t=1", "＝1", "%1",
    "COM1", "NUL", "aux.txt", "a/b", "C:\\x", "../x", "..", ".hidden", "🙂👩‍👩‍👧",
    "\u200bzero width", "\ufeffmark", "e\u0301", "\x85next",
    "日本語", "עברית", "\u202eevil", "a\x00b", "\ud800", "\x1b[31m", "x" * 300, "long " * 1000,
)  # fmt: skip
