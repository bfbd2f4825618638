from collections.abc import Iterator
from pathlib import Path

import jax
import pytest

from chronos_jax.compilation_cache import keep_what_is_compiled


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = jax.config.jax_compilation_cache_dir
    yield
    jax.config.update("jax_compilation_cache_dir", before)


def test_what_is_compiled_is_kept_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    keep_what_is_compiled()
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "chronos_jax" / "compiled")


def test_another_folder_may_be_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = jax.config.jax_compilation_cache_dir
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    keep_what_is_compiled()
    assert jax.config.jax_compilation_cache_dir == before
