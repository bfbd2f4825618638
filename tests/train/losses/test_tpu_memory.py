import json
import subprocess
import sys
from pathlib import Path

import pytest
from tpu import tpu_environment

ROOT = Path(__file__).parents[3]
SIZES = {("v5e:2x4", 131_072): 8, ("v5e:16x16", 1_048_576): 256}
WIDTH = 512


@pytest.mark.tpu_compile
def test_tiles_need_one_block_of_embeddings_and_little_else() -> None:
    command = [sys.executable, "-m", "benchmarks.contrastive_memory", "--json", "--form", "tiles"]
    command += ["--precision", "highest"]  # it needs more; the table in docs/losses.md has both
    for topology, batch in SIZES:
        command += ["--size", topology, str(batch)]
    run = subprocess.run(command, cwd=ROOT, env=tpu_environment(), capture_output=True, text=True, timeout=900)
    assert run.returncode == 0, run.stderr
    rows = json.loads(run.stdout)
    assert [row[:3] for row in rows] == [[kind, "tiles", "highest"] for kind in ("infonce", "sigmoid")]
    for *_, found in rows:
        for (_, batch), chips, mebibytes in zip(SIZES, SIZES.values(), found, strict=True):
            assert mebibytes <= batch / chips * WIDTH * 4 / 2**20 + 8
