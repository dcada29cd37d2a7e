"""Files: what is saved comes back, what is damaged, newer or foreign is refused, and nothing is ever unpickled."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import examples
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from make_golden import LABELS, golden_table

import bayeskit
from bayeskit import StorageError, load
from bayeskit.checks import Status
from bayeskit.engine import compile_count
from bayeskit.storage import FORMAT_VERSION

DATA = Path(__file__).parent / "data"
SOURCES = sorted(Path(bayeskit.__file__).parent.rglob("*.py"))


@pytest.fixture(scope="module")
def odd_fit():
    """Labels that formats stumble over, in a graph of six groups."""
    return examples.NormalNormal().fit(golden_table(), seed=2, draws=60, tune=200, progress=False)


@pytest.fixture
def saved(normal_fit, tmp_path):
    return normal_fit.save(tmp_path / "run.nc")


def edit(path, change):
    """Change the record of a file and leave the rest alone."""
    import h5py

    with h5py.File(path, "r+") as file:
        record = json.loads(file.attrs["bayeskit"])
        change(record)
        file.attrs["bayeskit"] = json.dumps(record)


def same(a, b):
    """Two fits hold the same things."""
    assert a.spec == b.spec
    assert a.dials == b.dials
    assert a.levels == b.levels
    assert a.provenance == b.provenance
    assert (a.partial, a.notes) == (b.partial, b.notes)
    assert set(a.draws.children) == set(b.draws.children)
    for name, group in a.draws.children.items():
        xr.testing.assert_equal(group.to_dataset(), b.draws[name].to_dataset())
        for variable in group.data_vars:
            assert group[variable].attrs == b.draws[name][variable].attrs
            assert group[variable].dtype == b.draws[name][variable].dtype
    if a.statistics is not None and b.statistics is not None:
        xr.testing.assert_equal(a.statistics, b.statistics)
        assert a.statistics.attrs == b.statistics.attrs


def test_round_trip_with_odd_labels(odd_fit, tmp_path):
    path = odd_fit.save(tmp_path / "odd ü.nc")
    again = load(path)
    assert again.levels["group"] == tuple(sorted(LABELS))
    same(odd_fit, again)
    assert list(again.estimands["mean"]["group"].values) == sorted(LABELS)
    assert again.verdict.headline == odd_fit.verdict.headline
    pd.testing.assert_frame_equal(again.summary(), odd_fit.summary())
    assert not list(tmp_path.glob("*.part"))


def test_structural_facts_survive(beta_fit, tmp_path):
    again = load(beta_fit.save(tmp_path / "run.nc"))
    assert again.statistics.attrs == {"flag": True}
    same(replace(beta_fit, statistics=None), again)


def test_a_loaded_run_refits_on_the_same_compiled_model(odd_fit, tmp_path, compiled_with):
    again = load(odd_fit.save(tmp_path / "run.nc"))
    before = compiled_with(odd_fit)
    refit = again.refit()
    assert compile_count() == before
    np.testing.assert_array_equal(refit.posterior["mu"].values, odd_fit.posterior["mu"].values)


def test_saving_twice_gives_an_equal_run_and_replaces(normal_fit, saved):
    first = saved.read_bytes()
    same(load(normal_fit.save(saved)), normal_fit)
    assert len(saved.read_bytes()) == len(first)


def test_a_folder_that_does_not_exist(normal_fit, tmp_path):
    with pytest.raises(StorageError, match=r"Cannot write 'run\.nc'"):
        normal_fit.save(tmp_path / "no" / "run.nc")


def test_newer_format_is_refused(saved):
    edit(saved, lambda r: r.update(format_version=FORMAT_VERSION + 1))
    with pytest.raises(StorageError, match=f"format version {FORMAT_VERSION + 1}.*Upgrade"):
        load(saved)


@pytest.mark.parametrize("version", [None, "1", 0, True])
def test_no_format_version_is_refused(saved, version):
    edit(saved, lambda r: r.update(format_version=version))
    with pytest.raises(StorageError):
        load(saved)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.999])
def test_truncated_file(saved, share):
    content = saved.read_bytes()
    saved.write_bytes(content[: int(share * len(content))])
    with pytest.raises(StorageError):
        load(saved)


def test_damaged_bytes_never_pass(saved):
    """Flip one byte at many places: the file is refused or, where the byte means nothing, loads the same."""
    content, original = saved.read_bytes(), load(saved)
    refused = 0
    for place in np.random.default_rng(0).integers(0, len(content), 25):
        broken = bytearray(content)
        broken[place] ^= 0xFF
        saved.write_bytes(bytes(broken))
        try:
            same(load(saved), original)
        except StorageError:
            refused += 1
    assert refused > 5


@pytest.mark.parametrize("content", [b"", b"no netCDF", b"\x89HDF\r\n\x1a\n" + b"\0" * 100, b"CDF\x01" + b"\0" * 64])
def test_foreign_file(tmp_path, content):
    path = tmp_path / "run.nc"
    path.write_bytes(content)
    with pytest.raises(StorageError):
        load(path)


def test_foreign_netcdf(tmp_path):
    path = tmp_path / "other.nc"
    xr.Dataset({"x": ("i", [1.0])}).to_netcdf(path, engine="h5netcdf")
    with pytest.raises(StorageError, match="not a bayeskit run"):
        load(path)


def test_no_file_and_a_foreign_folder(tmp_path):
    with pytest.raises(StorageError, match="There is no run"):
        load(tmp_path / "none.nc")
    with pytest.raises(StorageError, match="not the folder of a streamed"):
        load(tmp_path)


@pytest.mark.parametrize(
    "place",
    [
        "posterior/mu",
        "estimands/spread",
        "log_prior/mu",
        "log_likelihood/total",
        "statistics/n",
        "statistics/total",
    ],
)
def test_altered_numbers_are_found(saved, place):
    import h5py

    with h5py.File(saved, "r+") as file:
        file[place][(0,) * file[place].ndim] += 1
    with pytest.raises(StorageError, match="altered or damaged"):
        load(saved)


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r["dials"].update({"mu.sigma": 9.0}),
        lambda r: r.update(partial=True),
        lambda r: r["provenance"].update(seed=5),
        lambda r: r["levels"]["group"].reverse(),
        lambda r: r.pop("digest"),
    ],
)
def test_altered_record_is_found(saved, change):
    edit(saved, change)
    with pytest.raises(StorageError):
        load(saved)


def test_sizes_that_the_file_cannot_hold_are_refused(saved):
    """A file that declares a terabyte is refused before anything is allocated."""
    import h5py

    with h5py.File(saved, "r+") as file:
        file["posterior"].create_dataset("bomb", shape=(2**37,), dtype="f8", chunks=(2**20,), fillvalue=0.0)
    with pytest.raises(StorageError):
        load(saved)


def test_row_level_statistics_stay_out(normal_fit, normal_table, tmp_path):
    fit = replace(normal_fit, spec=examples.RowLevel())
    path = fit.save(tmp_path / "run.nc")
    again = load(path)
    assert again.statistics is None
    pd.testing.assert_frame_equal(again.summary(), fit.summary())
    assert again.verdict.status is Status.PASS
    for action in (lambda: again.refit(), lambda: again.assumptions):
        with pytest.raises(StorageError, match=r"refit\(table=") as error:
            action()
        assert "statistics=True" in str(error.value)
    kept = load(fit.save(tmp_path / "kept.nc", statistics=True))
    same(kept, fit)
    assert b"square" not in path.read_bytes()
    assert b"square" in (tmp_path / "kept.nc").read_bytes()


def test_aggregated_statistics_can_be_left_out(normal_fit, normal_table, tmp_path):
    again = load(normal_fit.save(tmp_path / "run.nc", statistics=False))
    assert again.statistics is None
    refit = again.refit(table=normal_table)
    np.testing.assert_array_equal(refit.posterior["mu"].values, normal_fit.posterior["mu"].values)


def test_a_model_that_is_not_registered(saved, monkeypatch):
    from bayeskit import SpecificationError, registry

    monkeypatch.delitem(registry._SESSION, "NormalNormal")
    with pytest.raises(SpecificationError, match=r"No model named 'NormalNormal'.*bayeskit\.register"):
        load(saved)


def test_golden_file_of_format_1():
    """A file written by the first release must load for ever."""
    fit = load(DATA / "golden_v1.nc")
    assert fit.levels["group"] == tuple(sorted(LABELS))
    assert fit.spec == examples.NormalNormal()
    assert fit.posterior["mu"].shape == (4, 10, 6)
    assert fit.posterior["mu"].values.sum() == pytest.approx(GOLDEN_SUM, rel=1e-14)
    assert fit.provenance["sampling"]["seed"] == 1
    assert fit.estimands["mean"].attrs["headline"] is True
    assert fit.verdict.status is Status.FAIL
    assert fit.statistics["n"].values.tolist() == [2] * 6


GOLDEN_SUM = 293.5303945773684


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.name)
def test_nothing_imports_pickle(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\b(import|from)\s+(pickle|cloudpickle|dill|joblib|shelve|marshal)\b", text)
    assert "allow_pickle=True" not in text
    assert "read_pickle" not in text
