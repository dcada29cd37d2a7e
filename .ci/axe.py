"""Reports under axe-core in headless Chromium, light and dark: python .ci/axe.py REPORT.html...

The checker comes from npm into a temporary folder and is no dependency of anything. Where npm or Chromium are absent the script
says so and ends with 0, or with 1 under --require. It ends with 1 where a finding is serious or critical.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BAD = ("serious", "critical")
SCHEMES = {"dark": 0, "light": 1}  # preferredColorScheme of Blink
RUN = """
axe.run(document, {resultTypes: ["violations"]}).then(function (found) {
  var told = found.violations.map(function (v) {
    return {id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.map(function (n) { return n.html.slice(0, 200); })};
  });
  var passes = found.passes.length;
  document.body.innerHTML = "<pre id='axe'></pre>";
  document.getElementById("axe").textContent = JSON.stringify({violations: told, passes: passes});
});
"""


def unpacked(folder: Path) -> str:
    """Text of the checker, fetched by npm."""
    subprocess.run(["npm", "pack", "axe-core", "--silent"], cwd=folder, check=True, capture_output=True, timeout=120)
    (archive,) = folder.glob("axe-core-*.tgz")
    with tarfile.open(archive) as opened:
        member = opened.extractfile("package/axe.min.js")
        assert member is not None
        return member.read().decode("utf-8")


def findings(browser: str, report: Path, checker: str, scheme: str, folder: Path) -> dict:
    """What the checker says of a copy of a report whose policy lets the checker run."""
    text = report.read_text(encoding="utf-8")
    text, removed = re.subn(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    assert removed == 1, f"{report.name} has no policy, or more than one"
    page = folder / f"{scheme}.html"
    page.write_text(text.replace("</body>", f"<script>{checker}</script><script>{RUN}</script></body>"), encoding="utf-8")
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}",
         f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}", "--window-size=1200,900",
         "--virtual-time-budget=60000", "--dump-dom", page.as_uri()],
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    found = re.search(r'<pre id="axe">(.*?)</pre>', done.stdout, re.S)
    if found is None:
        raise SystemExit(f"{report.name}: the checker did not finish in {browser}.")
    return json.loads(html.unescape(found.group(1)))


def main(arguments: list[str]) -> int:
    """Check the reports named on the command line."""
    required = "--require" in arguments
    reports = [Path(a) for a in arguments if not a.startswith("--")]
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None or shutil.which("npm") is None:
        print(f"Skipped: {'Chromium' if browser is None else 'npm'} is not installed.")
        return int(required)
    bad = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            checker = unpacked(folder)
        except (subprocess.SubprocessError, OSError) as error:
            print(f"Skipped: npm could not fetch axe-core ({error}).")
            return int(required)
        for report in reports:
            for scheme in SCHEMES:
                found = findings(browser, report, checker, scheme, folder)
                worst = [v for v in found["violations"] if v["impact"] in BAD]
                bad += len(worst)
                print(f"{report} ({scheme}): {found['passes']} rules passed, {len(found['violations'])} findings, "
                      f"{len(worst)} serious or critical")  # fmt: skip
                for violation in found["violations"]:
                    print(f"  {violation['impact']} {violation['id']}: {violation['help']}")
                    for node in violation["nodes"][:3]:
                        print(f"    {node}")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
