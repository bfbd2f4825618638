from collections.abc import Iterator
from pathlib import Path

import jax
import pytest

from chronos_jax import keep_what_is_compiled

FOLDER, SECONDS = "jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs"


@pytest.fixture(autouse=True)
def as_jax_comes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in (FOLDER, SECONDS):
        monkeypatch.delenv(name.upper(), raising=False)
    before = {name: getattr(jax.config, name) for name in (FOLDER, SECONDS)}
    jax.config.update(FOLDER, None)
    jax.config.update(SECONDS, 1.0)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


def test_what_is_compiled_is_kept_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    keep_what_is_compiled()
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "chronos_jax" / "compiled")


def test_another_folder_may_be_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    keep_what_is_compiled()
    assert jax.config.jax_compilation_cache_dir is None  # JAX reads the environment at its import


def test_a_folder_that_a_program_has_chosen_stays(tmp_path: Path) -> None:
    jax.config.update(FOLDER, str(tmp_path))
    keep_what_is_compiled()
    assert jax.config.jax_compilation_cache_dir == str(tmp_path)


def test_nothing_is_too_quick_to_be_kept_unless_the_user_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    jax.config.update(SECONDS, 1.0)
    monkeypatch.setenv(SECONDS.upper(), "1")
    keep_what_is_compiled()
    assert jax.config.jax_persistent_cache_min_compile_time_secs == 1
    monkeypatch.delenv(SECONDS.upper())
    keep_what_is_compiled()
    assert jax.config.jax_persistent_cache_min_compile_time_secs == 0
    jax.config.update(SECONDS, 3.0)
    keep_what_is_compiled()
    assert jax.config.jax_persistent_cache_min_compile_time_secs == 3
