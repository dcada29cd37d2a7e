"""Small real data sets that travel with the package, each with its provenance.

A data set is a CSV file and a JSON sidecar of the same name in this folder. Nothing is downloaded.

>>> from bayeskit_models import datasets
>>> datasets.names()[:5]
('aiw', 'cruxeval', 'cruxeval_items', 'cruxeval_pair', 'diabetes')
>>> datasets.describe("judges")["licence"]
"MIT (declared in the source project's pyproject.toml)"
"""

from __future__ import annotations

import hashlib
import io
import json
from importlib import resources
from typing import TYPE_CHECKING, Any

from bayeskit.errors import SpecificationError, StorageError, suggest

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["describe", "load", "names"]


def names() -> tuple[str, ...]:
    """Names of the data sets, sorted."""
    files = (entry.name for entry in resources.files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(".json") for name in files if name.endswith(".json")))


def describe(name: str) -> dict[str, Any]:
    """Provenance of a data set.

    Parameters
    ----------
    name : str
        One of `names`.

    Returns
    -------
    dict
        ``title``, ``source``, ``licence``, ``citation``, ``derivation``, ``columns`` (name -> meaning),
        ``rows``, ``sha256`` (of the CSV with LF line ends) and what is particular to the data set; for
        "judges" ``own``, the judges that are themselves candidates, and ``roles``, which column plays which
        part. A fresh copy each time.

    Raises
    ------
    SpecificationError
        If there is no such data set.
    """
    known = names()
    if name not in known:
        listing = ", ".join(map(repr, known))
        raise SpecificationError(f"name={name!r}: no such data set; there are {listing}.{suggest(name, known)}")
    text = resources.files(__name__).joinpath(f"{name}.json").read_text(encoding="utf-8")
    description: dict[str, Any] = json.loads(text)
    return description


def load(name: str) -> pd.DataFrame:
    """Read a data set.

    Parameters
    ----------
    name : str
        One of `names`.

    Returns
    -------
    pandas.DataFrame
        With the columns that `describe` explains. Empty cells are NaN; any other text is read as it stands
        (a label "NA" stays a label).

    Raises
    ------
    SpecificationError
        If there is no such data set.
    StorageError
        If its file is not the one that the provenance describes.
    """
    import pandas as pd

    description = describe(name)
    # A checkout may have rewritten line ends; the digest is of the content.
    content = resources.files(__name__).joinpath(f"{name}.csv").read_bytes().replace(b"\r\n", b"\n")
    digest = hashlib.sha256(content).hexdigest()
    if digest != description["sha256"]:
        raise StorageError(
            f"data set {name!r}: the file has sha256 {digest}, its provenance says {description['sha256']}. "
            "The file was changed: reinstall the package, or derive it again and update the sidecar."
        )
    return pd.read_csv(io.BytesIO(content), keep_default_na=False, na_values=[""])
