import json
from collections.abc import Callable

import pytest

from train.config import TrainConfig, read_config
from train.loop import train
from train.run import load_run
from train.run_record import record_change, record_start
from train.text import WordVocabulary

Configure = Callable[..., TrainConfig]
TEXTS = WordVocabulary.of(["someone is in the kitchen"])


def test_a_configuration_of_the_user_in_the_folder_is_not_replaced(tiny_config: Configure) -> None:
    config = tiny_config()
    config.output_dir.mkdir()
    own = config.output_dir / "config.json"
    own.write_text(config.model_dump_json())
    with pytest.raises(ValueError, match=r"config\.json is a configuration but no record of a run.*move that file"):
        record_start(config, {}, TEXTS)
    assert own.read_text() == config.model_dump_json()


def test_until_its_first_checkpoint_a_run_can_begin_anew(tiny_config: Configure) -> None:
    record_start(tiny_config(layer=99), {"encoder": "one"}, TEXTS)
    record_start(tiny_config(layer=0), {"encoder": "other"}, WordVocabulary.of(["other words"]))
    config = tiny_config()
    assert read_config(config.output_dir / "config.json").layer == 0
    assert json.loads((config.output_dir / "config.json").read_text())["run"]["inputs"]["encoder"] == "other"
    assert "other" in WordVocabulary.load(config.output_dir / "text_vocabulary.json").words


def test_the_configuration_of_a_run_can_be_used_for_another(tiny_config: Configure) -> None:
    config = tiny_config()
    record_start(config, {"train": "hash"}, TEXTS)
    stored = config.output_dir / "config.json"
    assert read_config(stored) == config
    run = json.loads(stored.read_text())["run"]
    assert run["inputs"]["train"] == "hash"
    assert {"jax", "flax", "orbax-checkpoint"} <= set(run["versions"])
    assert WordVocabulary.load(config.output_dir / "text_vocabulary.json") == TEXTS


def test_a_run_goes_on_only_with_the_data_it_began_with(tiny_config: Configure) -> None:
    config = tiny_config(max_steps=1)
    record_start(config, {"train": "hash"}, TEXTS)
    (config.output_dir / "checkpoints" / "1").mkdir(parents=True)  # it got to its first checkpoint
    record_start(config, {"train": "hash"}, TEXTS)
    with pytest.raises(ValueError, match=r"(?s)began with another.*train: 'hash' → 'other'"):
        record_start(config, {"train": "other"}, TEXTS)
    with pytest.raises(ValueError, match="texts: "):
        record_start(config, {"train": "hash"}, WordVocabulary.of(["other words"]))


@pytest.fixture
def begun(tiny_config: Configure) -> TrainConfig:
    """The configuration of a run that got to its first checkpoint."""
    config = tiny_config()
    record_start(config, {"train": "hash"}, TEXTS)
    (config.output_dir / "checkpoints" / "1").mkdir(parents=True)
    return config


@pytest.mark.parametrize("content", ["", '{"encoder": "stat', "\xff", '{"run": 5}', '{"run": {}}'])
def test_a_damaged_configuration_is_named(begun: TrainConfig, content: str) -> None:
    path = begun.output_dir / "config.json"
    path.write_text(content, "latin-1")
    for use in (lambda: record_start(begun, {"train": "hash"}, TEXTS), lambda: load_run(begun.output_dir)):
        with pytest.raises(ValueError, match=rf"^{path}, the configuration that the run began with, is damaged.*copy"):
            use()
    assert path.read_text("latin-1") == content


def test_a_missing_configuration_is_said_and_can_be_forced(
    begun: TrainConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    path = begun.output_dir / "config.json"
    path.unlink()
    with pytest.raises(
        FileNotFoundError, match=rf"^{path} is missing: nothing says what .*Put it back, or give --force"
    ):
        record_start(begun, {"train": "hash"}, TEXTS)
    with pytest.raises(FileNotFoundError, match=r"has no config\.json: put it back"):
        load_run(begun.output_dir)
    record_start(begun, {"train": "hash"}, TEXTS, force=True)
    assert "going on although" in capsys.readouterr().err
    assert not path.exists()
    record_change(begun, {"train": "hash"}, TEXTS)
    assert read_config(path) == begun


def test_what_is_forced_becomes_the_runs_own_only_with_its_checkpoint(begun: TrainConfig) -> None:
    folder = begun.output_dir
    words = WordVocabulary.of(["other words"])
    before = {path: path.read_bytes() for path in folder.glob("*.json")}
    assert len(before) == 2
    forced = begun.model_copy(update={"seed": 7})
    record_start(forced, {"train": "other"}, words, force=True)
    assert {path: path.read_bytes() for path in folder.glob("*.json")} == before
    record_change(forced, {"train": "other"}, words)
    record_start(forced, {"train": "other"}, words)
    assert WordVocabulary.load(folder / "text_vocabulary.json") == words


@pytest.mark.parametrize("content", [None, "{", "[1]", '{"words": ["a"]}'])
def test_a_vocabulary_that_is_not_as_it_was_is_said_and_written_again(tiny_config: Configure, content: str) -> None:
    config = tiny_config(max_steps=1)
    train(config)
    path = config.output_dir / "text_vocabulary.json"
    before = path.read_bytes()
    path.unlink() if content is None else path.write_text(content)
    what = "missing" if content is None else "damaged"
    with pytest.raises((FileNotFoundError, ValueError), match=rf"^{path}, the words .* {what}.*start the run again"):
        load_run(config.output_dir)
    train(config)
    assert path.read_bytes() == before
    assert load_run(config.output_dir).embed_texts(["kitchen"]).shape == (1, 8)


def test_another_width_cannot_be_forced_and_the_run_stays_what_it_was(tiny_config: Configure) -> None:
    train(tiny_config(max_steps=1))
    folder = tiny_config().output_dir
    recorded = (folder / "config.json").read_bytes()
    for wider in ({"projection_hidden_dim": 32}, {"output_dim": 16}, {"use_hard_negatives": True}):
        with pytest.raises(
            ValueError, match=r"^the checkpoint .*/1 has .* makes one of shape .*cannot be gone on with"
        ):
            train(tiny_config(max_steps=1, **wider), force=True)
        assert (folder / "config.json").read_bytes() == recorded
    assert train(tiny_config(max_steps=1)).resumed_from == 1
