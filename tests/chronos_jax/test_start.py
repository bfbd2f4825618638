"""From the start of a process to its first answers: what is imported, and what is compiled."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from imports import assert_not_imported

from chronos_jax import Chronos2Pipeline

FIRST_ANSWERS = """
import json, sys
import numpy as np
from chronos_jax import Chronos2Pipeline

pipeline = Chronos2Pipeline.from_pretrained(sys.argv[1])
series = np.ones((2, 1, 48), np.float32)
pipeline.predict(series, prediction_length=20)
print("embed", file=sys.stderr)
pipeline.embed(series, pooling="mean")
print(json.dumps(sorted(sys.modules)))
"""

NOT_NEEDED = ("datasets", "grain", "huggingface_hub", "matplotlib", "narwhals", "orbax", "pandas", "plotly", "torch")


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process has imported, and what it compiled until its first forecast, and then for embeddings."""
    folder = tmp_path_factory.mktemp("start") / "tiny"
    Chronos2Pipeline.from_pretrained("random:tiny").save_pretrained(folder)
    command = [sys.executable, "-W", "ignore", "-c", FIRST_ANSWERS, str(folder)]
    environment = os.environ | {"JAX_LOG_COMPILES": "1", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    parts = done.stderr.split("embed\n")
    compiled = [[line for line in part.splitlines() if "Finished XLA compilation" in line] for part in parts]
    return {"modules": json.loads(done.stdout), "compiled": compiled}


def test_a_forecast_of_arrays_imports_nothing_that_it_does_not_need(start: dict[str, Any]):
    assert {name.partition(".")[0] for name in start["modules"]}.isdisjoint(NOT_NEEDED)


def test_the_first_forecast_compiles_one_function(start: dict[str, Any]):
    assert len(start["compiled"][0]) == 1, start["compiled"][0]


def test_the_first_embeddings_compile_one_more(start: dict[str, Any]):
    assert len(start["compiled"][1]) == 1, start["compiled"][1]


def test_the_package_alone_imports_not_even_jax():
    assert_not_imported("jax", "import chronos_jax; dir(chronos_jax)")
