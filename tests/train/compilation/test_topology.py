import pytest

from train.compilation.topology import topology_devices


@pytest.mark.parametrize("name", ["", "v5e", "v5e:0x4", "v5e:2x2x2", "v5p:2x2", "v5litepod-8", "v9:2x2", "v5e:2x-4"])
def test_names_that_do_not_exist_come_with_forms_that_do(name: str) -> None:
    with pytest.raises(ValueError, match=f"no TPU topology '{name}': names have forms such as .*v5e:16x16"):
        topology_devices(name)


def test_without_the_compiler_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TPU_LIBRARY_PATH", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'jax\[tpu\]==[\d.]+', or set TPU_LIBRARY_PATH"):
        topology_devices("v5e:2x4")
    monkeypatch.setenv("TPU_LIBRARY_PATH", "/nowhere/libtpu.so")
    with pytest.raises(ModuleNotFoundError, match=r"set to /nowhere/libtpu\.so, which does not exist"):
        topology_devices("v5e:2x4")
