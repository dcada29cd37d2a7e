"""A sweep on a real Dask cluster of two worker processes, one of which is killed while it works."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest

from bayeskit.sensitivity.sweep import cell_seed

pytestmark = pytest.mark.slow
distributed = pytest.importorskip("distributed", reason="needs the extra: bayeskit[cluster]")

CENTRES = {"mu.mu": [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0]}
WHOLE = "[!.]*.nc"  # what is being written has a name that begins with a dot
SHORT = {"draws": 500, "tune": 400, "cores": 1}


@pytest.fixture
def cluster(tmp_path):
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, local_directory=str(tmp_path / "dask")
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def _busy_worker(client, finished, deadline=180.0):
    """Process id of a worker that holds a task, once another cell is finished."""
    until = time.monotonic() + deadline
    while time.monotonic() < until:
        if finished():
            pids = client.run(os.getpid)
            for address, tasks in client.processing().items():
                if tasks:
                    return pids[address]
        time.sleep(0.05)
    return None


def test_a_killed_worker_loses_nothing_and_counts_nothing_twice(normal_fit, cluster, tmp_path):
    cache, killed = tmp_path / "cells", []

    def kill():
        pid = _busy_worker(cluster, lambda: len(list(cache.glob(WHOLE))) >= 1)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    killer = threading.Thread(target=kill)
    killer.start()
    found = normal_fit.sweep(CENTRES, executor=cluster.get_executor(), cache=cache, **SHORT)
    killer.join()
    assert killed and killed[0] not in cluster.run(os.getpid).values(), "no worker was killed: the test has tested nothing"
    # nothing lost: every setting has its cell, in its place, and the cells are right (5 Monte Carlo errors)
    assert [c.dials["mu.mu"] for c in found.cells] == CENTRES["mu.mu"] and not found.failed
    for cell in found.cells:
        mean, sd = normal_fit.spec.closed_form(normal_fit.statistics, {**normal_fit.dials, **cell.dials})
        assert (np.abs(cell.fit.posterior["mu"].mean(("chain", "draw")).values - mean) < 5 * sd / np.sqrt(700)).all()
    # nothing counted twice: one row for each cell and quantity, one file for each cell
    table = found.table
    assert not table.duplicated(["mu.mu", "quantity"]).any() and len(table) == len(found.cells) * table["quantity"].nunique()
    assert len(list(cache.glob(WHOLE))) == len(found.cells) == len(set(CENTRES["mu.mu"]))
    # and the seed follows the cell, not who ran it or how often
    root = normal_fit.provenance["sampling"]["seed"]
    for cell in found.cells:
        assert cell.fit.provenance["sampling"]["seed"] == cell_seed(root, {**normal_fit.dials, **cell.dials})
