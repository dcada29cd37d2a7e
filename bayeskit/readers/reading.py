"""`bayeskit.read`: logs of evaluation harnesses, and tables of scores, to one long table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from bayeskit.errors import SpecificationError, suggest
from bayeskit.readers.discover import FORMATS, find_logs
from bayeskit.readers.long_table import long_table
from bayeskit.readers.options import Options

__all__ = ["read"]


def read(
    source: Any,
    *,
    format: str | None = None,
    metric: str | Mapping[str, str] | None = None,
    filter: str | None = None,
    split: str | None = None,
    cluster: str | None = None,
    model: str | None = None,
    benchmark: str | None = None,
    item: str | None = None,
    columns: Mapping[str, str] | None = None,
    repeated: Literal["refuse", "sample"] = "refuse",
    unscored: Literal["refuse", "missing"] = "refuse",
) -> Any:
    """Read logs of evaluation harnesses as one long table of scores.

    The format is recognised: lm-evaluation-harness (results and samples), Inspect (``.eval`` and ``.json``), HELM run
    folders, HumanEval and EvalPlus results, long tables (CSV, Parquet, JSON Lines), wide ones (items by models) and
    summaries.

    Parameters
    ----------
    source
        A file, a folder (read with everything below it), a glob pattern, a list of these, or a dataframe.
    format
        Read only this one of ``"lm-eval"``, ``"inspect"``, ``"helm"``, ``"human-eval"``, ``"evalplus"``, ``"long"``,
        ``"wide"`` and ``"summary"``; needed where a folder holds several.
    metric
        Which score, where there are several: one for all, or one by benchmark, which reads these only. Inspect: the scorer,
        or ``"scorer/key"``; lm-eval: the metric, or ``"metric,filter"``; tables: the column.
    filter
        lm-eval: which filter. HELM: ``"none"`` (instances as they are), the name of a perturbation, or ``"all"``.
    split
        HELM: which split.
    cluster
        Field of the items that becomes the column ``cluster``: of the document (lm-eval), of the metadata (Inspect),
        ``"sub_split"`` (HELM), or a column of the table.
    model, benchmark
        A name for all rows, where the logs do not say or say otherwise.
    item
        Column of the items in a table.
    columns
        Column of the table by role (``{"score": "pass1"}``), where its name is not known.
    repeated
        What to do with several scores of one cell: ``"refuse"`` them, or number them in the column ``sample``.
    unscored
        What to do with samples that have no score or NaN, though the harness does not say that they failed: ``"refuse"``
        them, or leave them ``"missing"``.

    Returns
    -------
    pyarrow.Table
        One row per score. Columns, as far as the logs state them: ``model``, ``benchmark``, ``item``, ``cluster``,
        ``seed``, ``sample``, ``template``, ``checkpoint`` (text) and ``score``, ``trials`` (numbers; with trials, the score
        is the number of successes), ``stderr``; of a summary ``mean``, ``sd`` and ``n``. A failed sample has a null score.
        Remarks stand in the metadata of the schema, and in the notes of a fit to the table.

    Raises
    ------
    DataError
        Naming file, line, rule and fix, if a file is broken, there is nothing to read or more than one thing, or a cell has
        more than one score.
    SpecificationError
        If an argument makes no sense.
    """
    options = Options(metric, filter, split, cluster, model, benchmark, item, dict(columns or {}), repeated, unscored)
    if format is not None and format not in FORMATS:
        hint = suggest(str(format), FORMATS)
        raise SpecificationError(f"read: format is one of {', '.join(map(repr, FORMATS))}; got {format!r}.{hint}")
    notes: list[str] = []
    if _is_path(source):
        files = find_logs(source, format, notes)
        blocks, more = _read(files, format, options)
    else:
        from bayeskit.readers.plain import read_plain

        if format not in (None, "long", "wide", "summary"):
            raise SpecificationError(f"read: a table in memory is 'long', 'wide' or 'summary'; got format={format!r}.")
        blocks, more = read_plain(source, [], format, options)
    return long_table(blocks, [*more, *notes], repeated=repeated)


def _is_path(source: Any) -> bool:
    if isinstance(source, str | Path):
        return True
    return isinstance(source, Sequence) and len(source) > 0 and all(isinstance(part, str | Path) for part in source)


def _read(files: Sequence[Any], wanted: str | None, options: Options) -> tuple[list[Any], list[str]]:
    """Hand the files to the room of their format."""
    kinds = {file.format for file in files}
    if "inspect" in kinds:
        from bayeskit.readers.inspect_logs import read_inspect

        return read_inspect(files, options)
    if "lm-eval" in kinds:
        return _read_lm_eval(files, options)
    if "helm" in kinds:
        from bayeskit.readers.helm import read_helm

        return read_helm(files, options)
    if "human-eval" in kinds:
        from bayeskit.readers.human_eval import read_human_eval

        return read_human_eval(files, options)
    if "evalplus" in kinds:
        from bayeskit.readers.evalplus import read_evalplus

        return read_evalplus(files, options)
    from bayeskit.readers.plain import read_plain

    return read_plain(None, files, wanted, options)


def _read_lm_eval(files: Sequence[Any], options: Options) -> tuple[list[Any], list[str]]:
    from bayeskit.readers.lm_eval import read_lm_eval_samples
    from bayeskit.readers.lm_eval_results import read_lm_eval_results

    samples = [file for file in files if file.kind == "lm-eval:samples"]
    results = [file for file in files if file.kind == "lm-eval:results"]
    return read_lm_eval_samples(samples, results, options) if samples else read_lm_eval_results(results, options)
