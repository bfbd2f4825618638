"""What every test relies on: eight CPU devices, strict rank promotion, exact matrix products, shared data."""

import os
from collections import defaultdict
from pathlib import Path

import jax
import parity_readme
import pytest

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_default_matmul_precision", "highest")

SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared_file(relative: str) -> Path:
    """A file of the shared test data, or a skip that names what is absent."""
    path = SHARED / relative
    if not path.exists():
        pytest.skip(f"shared test data is absent: {relative} (expected beside the checkout, in ../shared)")
    return path


@pytest.fixture(scope="session", autouse=True)
def _compile_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests that compute the same on the same shapes share what was compiled, in other processes too."""
    room = tmp_path_factory.getbasetemp()
    folder = str((room.parent if "PYTEST_XDIST_WORKER" in os.environ else room) / "compiled")
    for variable, value in {"compilation_cache_dir": folder, "persistent_cache_min_compile_time_secs": 0.2}.items():
        os.environ[f"JAX_{variable.upper()}"] = str(value)
        jax.config.update(f"jax_{variable}", value)


@pytest.fixture(scope="session")
def casas_file() -> Path:
    """61,578 real smart-home events, thirty days, every event labelled."""
    return shared_file("data/casas/al_smarthome.txt.xz")


@pytest.fixture(scope="session")
def etth1() -> Path:
    """17,420 hours of seven real variates."""
    return shared_file("data/forecasting/ETTh1.csv.gz")


@pytest.fixture(scope="session")
def reference_checkpoint() -> Path:
    """The tiny Chronos-2 checkpoint that the reference's own tests use."""
    return shared_file("reference/dummy-chronos2-model")


@pytest.fixture(scope="session")
def reference_lora() -> Path:
    """A peft adapter folder for `reference_checkpoint`."""
    return shared_file("reference/dummy-chronos2-lora")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-parity", action="store_true", help="write the README's parity table from this run")


PARITY: defaultdict[str, dict[str, float]] = defaultdict(dict)


@pytest.fixture(scope="session")
def parity_table() -> defaultdict[str, dict[str, float]]:
    """Case → size → largest relative error, filled by the parity tests."""
    return PARITY


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--write-parity") and config.getoption("numprocesses", None):
        raise pytest.UsageError("--write-parity needs all parity tests in one process: run it without -n")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--write-parity"):
        return
    left = [item for item in items if item.get_closest_marker("table_only")]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.getoption("--write-parity"):
        parity_readme.write(Path(session.config.rootpath) / "README.md", PARITY)
