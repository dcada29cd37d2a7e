"""Check that a wheel holds what the packages need at run time, and nothing that does not belong there.

Run as ``python .ci/wheel.py FILE.whl``; exits with 1 and says what is missing.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {"bayeskit": ROOT / "bayeskit", "bayeskit_models": ROOT / "models" / "bayeskit_models"}
SKIPPED = {"__pycache__"}
ENTRY_POINTS = ("bayeskit = bayeskit.cli:main", "[bayeskit.models]", "[bayeskit.demos]")


def expected() -> set[str]:
    """Return every file of both packages: modules, stubs, templates, data, model cards and ``py.typed``."""
    return {
        f"{name}/{path.relative_to(folder).as_posix()}"
        for name, folder in PACKAGES.items()
        for path in folder.rglob("*")
        if path.is_file() and not SKIPPED & set(path.parts)
    }


def faults(wheel: Path) -> list[str]:
    """Return what is wrong with the wheel, one sentence each."""
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if not name.endswith("/")}
        entry = next((name for name in held if name.endswith(".dist-info/entry_points.txt")), None)
        points = archive.read(entry).decode() if entry else ""
    out = [f"missing: {name}" for name in sorted(expected() - held)]
    foreign = {name for name in held if name.split("/")[0] not in PACKAGES and ".dist-info/" not in name}
    out += [f"does not belong there: {name}" for name in sorted(foreign)]
    out += [f"no entry point: {text}" for text in ENTRY_POINTS if text not in points]
    if not any(".dist-info/" in name and name.endswith("LICENSE") for name in held):
        out.append("missing: LICENSE")
    return out


if __name__ == "__main__":
    found = faults(Path(sys.argv[1]))
    print("\n".join(found) or "The wheel holds every file of both packages.")
    sys.exit(1 if found else 0)
