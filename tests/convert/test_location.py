import json
from pathlib import Path

import pytest
from reference import write_random_checkpoint

from chronos_jax.chronos2.config import Chronos2Config
from convert.__main__ import main

CONFIG = Chronos2Config(d_model=8, d_kv=2, d_ff=8, num_layers=1, num_heads=2, max_output_patches=2)


def cached(cache: Path, revisions: dict[str, int]) -> None:
    """What the hub's cache holds after owner/model was downloaded at these revisions (name → seed of the weights)."""
    repository = cache / "models--owner--model"
    (repository / "refs").mkdir(parents=True)
    for number, (name, seed) in enumerate(revisions.items()):
        commit = f"{number:040}"
        (repository / "refs" / name).write_text(commit)
        write_random_checkpoint(repository / "snapshots" / commit, CONFIG, seed)


def test_cache_revision_and_offline_mode_reach_the_hub(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    cached(tmp_path, {"main": 1, "v1": 2})
    for revision, commit in (([], f"{0:040}"), (["--revision", "v1"], f"{1:040}")):
        assert main(["inspect", "owner/model", "--offline", "--cache_dir", str(tmp_path), *revision, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["folder"].endswith(commit)


def test_offline_without_a_copy_is_one_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["inspect", "owner/model", "--offline", "--cache_dir", str(tmp_path)]) == 1
    assert "the hub may not be asked (offline mode)" in capsys.readouterr().err


def test_options_that_do_not_apply_to_a_folder_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = str(write_random_checkpoint(tmp_path / "random", CONFIG))
    for option in (["--revision", "main"], ["--base", folder]):
        assert main(["inspect", folder, *option]) == 1
        assert "only, and" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["inspect"], ["to-orbax", "a"], ["inspect", "a", "--unknown"], ["nothing"]])
def test_a_command_line_that_cannot_be_parsed_ends_with_code_2(arguments: list[str]):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
