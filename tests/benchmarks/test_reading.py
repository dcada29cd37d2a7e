"""Reading a million samples of lm-evaluation-harness: time and memory of a process of its own. Printed, never asserted.

``uv run pytest tests/benchmarks/test_reading.py -m benchmark -n 0 -s``
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import pytest

ROWS, MODELS = 1_000_000, 10
PROGRAM = """
import json, resource, sys, time
import bayeskit as bk
wall, cpu = time.perf_counter(), time.process_time()
table = bk.read(sys.argv[1], metric="acc")
print(json.dumps({"rows": table.num_rows, "right": table["score"].to_numpy().sum(), "wall": time.perf_counter() - wall,
                  "cpu": time.process_time() - cpu, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
"""


def _write(folder, prompt):
    """Samples as lm-eval 0.4 writes them; `prompt` characters of question stand three times in each line."""
    size = 0
    for model in range(MODELS):
        path = folder / f"toy__m{model}" / "samples_task_2025-01-01T00-00-00.000001.jsonl"
        path.parent.mkdir(parents=True)
        with path.open("w") as stream:
            for place in range(ROWS // MODELS):
                digest = hashlib.sha256(b"%d" % place).hexdigest()
                text = (digest * (prompt // 64 + 1))[:prompt]
                row = {
                    "doc_id": place, "doc": {"question": text, "choices": ["a", "b"], "gold": 0}, "target": "0",
                    "arguments": {f"gen_args_{k}": {"arg_0": text, "arg_1": " a"} for k in range(2)},
                    "resps": [[["-1.25", "False"]], [["-2.5", "False"]]],
                    "filtered_resps": [["-1.25", "False"], ["-2.5", "False"]], "filter": "none", "metrics": ["acc", "acc_norm"],
                    "doc_hash": digest, "prompt_hash": digest, "target_hash": digest,
                    "acc": float((place + model) % 3 == 0), "acc_norm": 0.0,
                }  # fmt: skip
                stream.write(json.dumps(row) + "\n")
        size += path.stat().st_size
    return size


@pytest.mark.benchmark
@pytest.mark.parametrize("prompt", [64, 600])
def test_a_million_lm_eval_samples(tmp_path, prompt):
    size = _write(tmp_path, prompt)
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    print(
        f"\n{found['rows']:,} rows in {size / 1e9:.2f} GB: {found['wall']:.1f} s ({found['cpu']:.1f} CPU-s), "
        f"peak memory {found['peak'] / 1e9:.2f} GB"
    )
    assert found["rows"] == ROWS
    assert found["right"] == sum((place + model) % 3 == 0 for model in range(MODELS) for place in range(ROWS // MODELS))
