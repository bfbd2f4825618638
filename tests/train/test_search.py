"""A run of a few steps on three simulated days is searched, and so are new event files."""

import io
import json
import shutil
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from small_run import small_run

from train.new_events import embedded_windows
from train.run import TrainedRun, load_run
from train.search import find, main, open_index, parse_since, parse_until
from train.search_index import Shown
from train.smarthome.records import open_split
from train.smarthome.simulator import simulate

QUERY = "Night movement in the bedroom"


@pytest.fixture(scope="module")
def run_dir(simulated_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_run(simulated_home, tmp_path_factory.mktemp("trained") / "run", max_steps=40, learning_rate=0.01)


@pytest.fixture(scope="module")
def run(run_dir: Path) -> TrainedRun:
    return load_run(run_dir)


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("events") / "events.txt"
    simulate(path, 2, seed=5)
    return path


def copied(run_dir: Path, folder: Path) -> TrainedRun:
    """The run in a folder of its own, without what searching it has left."""
    shutil.copytree(run_dir, folder / "run", ignore=shutil.ignore_patterns("search"))
    return load_run(folder / "run")


def test_windows_of_both_splits_are_searched(run: TrainedRun, simulated_home: Path) -> None:
    index = open_index(run)
    windows = [window for name in ("train", "validation") for window in open_split(simulated_home, name)]
    assert len(index) == len(windows)
    assert [index[number] for number in range(len(index))] == [Shown.of(window) for window in windows]
    np.testing.assert_allclose(
        index.windows_NxD, run.embed_series(np.stack([window.series for window in windows])), atol=1e-6
    )


def test_what_is_found_is_most_like_the_query(run: TrainedRun) -> None:
    index = open_index(run)
    query_D = run.embed_texts([QUERY])[0]
    found = find(run, index, QUERY, top=3, overlapping=True)
    assert [each.score for each in found] == pytest.approx(sorted(index.windows_NxD @ query_D)[::-1][:3], abs=1e-6)
    everything = find(run, index, QUERY, top=len(index), overlapping=True)
    scores = {
        there: np.mean([each.score for each in everything if (each.window.rooms == ["Bedroom"]) == there])
        for there in (True, False)
    }
    assert scores[True] > scores[False] + 0.03


def test_a_new_file_is_searched(run: TrainedRun, events: Path, simulated_home: Path) -> None:
    index = open_index(run, events)
    split = open_split(simulated_home, "train")
    expected = [window for windows, _ in embedded_windows(run, events, split) for window in windows]
    assert [index[number] for number in range(len(index))] == [Shown.of(window) for window in expected]
    assert find(run, index, QUERY, top=1)[0].window.window_id.startswith("events.txt-")


class TestKept:
    @pytest.fixture(params=["own", "new"])
    def source(self, request: pytest.FixtureRequest, events: Path) -> Path | None:
        return None if request.param == "own" else events

    def test_again_needs_neither_data_nor_encoder(
        self, run_dir: Path, tmp_path: Path, source: Path | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = copied(run_dir, tmp_path)
        first = open_index(run, source)
        monkeypatch.delattr("train.search.open_splits")
        monkeypatch.delattr("train.run.load_encoder")
        again = open_index(load_run(tmp_path / "run"), source)
        np.testing.assert_array_equal(again.windows_NxD, first.windows_NxD)
        assert again.shown.tobytes() == first.shown.tobytes()

    def test_other_parameters_make_another_index(self, run_dir: Path, tmp_path: Path, source: Path | None) -> None:
        run = copied(run_dir, tmp_path)
        first = open_index(run, source)
        kernel = run.model.sensor.linear_in.kernel
        kernel[...] = -kernel[...]
        assert np.abs(open_index(run, source).windows_NxD - first.windows_NxD).max() > 1e-3
        assert len(list((tmp_path / "run" / "search").iterdir())) == 1

    @pytest.mark.parametrize(
        ("source", "name"),
        [("own", "train"), ("own", "validation"), ("own", "encoder"), ("new", "train"), ("new", "encoder")],
        indirect=["source"],
    )
    def test_an_index_of_other_data_or_another_encoder_is_not_read(
        self, run_dir: Path, tmp_path: Path, source: Path | None, name: str
    ) -> None:
        """It is made again, which compares."""
        run = copied(run_dir, tmp_path)
        open_index(run, source)
        config = tmp_path / "run" / "config.json"
        record = json.loads(config.read_text())
        record["run"]["inputs"][name] = "another"
        config.write_text(json.dumps(record))
        with pytest.raises(ValueError, match=f"{name}: 'another' →"):
            open_index(run, source)

    def test_a_damaged_index_is_made_again(self, run_dir: Path, tmp_path: Path, source: Path | None) -> None:
        run = copied(run_dir, tmp_path)
        first = open_index(run, source)
        (kept,) = (tmp_path / "run" / "search").iterdir()
        kept.write_bytes(b"nonsense")
        np.testing.assert_array_equal(open_index(run, source).windows_NxD, first.windows_NxD)

    def test_data_that_changed_since_training_are_refused(
        self, run_dir: Path, tmp_path: Path, source: Path | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = copied(run_dir, tmp_path)
        run.encoder.identity["version"] = -1
        with pytest.raises(ValueError, match="'version': -1"):
            open_index(run, source)
        assert not (tmp_path / "run" / "search").exists()


def test_a_changed_file_is_another_file(run: TrainedRun, events: Path, tmp_path: Path) -> None:
    changed = tmp_path / "events.txt"
    changed.write_text("".join(events.read_text().splitlines(keepends=True)[:300]))
    assert len(open_index(run, changed)) < len(open_index(run, events))


def test_an_absent_file(run: TrainedRun, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="There is no event file"):
        open_index(run, tmp_path / "absent")


def test_words_that_the_run_does_not_know(run: TrainedRun) -> None:
    with pytest.warns(UserWarning, match="1 word does not occur.*: rocket"):
        assert find(run, open_index(run), "rocket in the bedroom")
    with (
        pytest.warns(UserWarning, match="1 word does not occur"),
        pytest.raises(ValueError, match="knows no word of 'rocket'"),
    ):
        find(run, open_index(run), "rocket")


class TestTimes:
    def test_days_are_meant_whole(self) -> None:
        assert parse_since("2024-01-31") == datetime(2024, 1, 31)
        assert parse_until("2024-01-31") == datetime(2024, 2, 1)

    def test_times_are_meant_exactly(self) -> None:
        for parse in (parse_since, parse_until):
            assert parse("2024-01-31T22:30") == parse("2024-01-31 22:30") == datetime(2024, 1, 31, 22, 30)

    @pytest.mark.parametrize("text", ["22:30", "yesterday", "2024-02-30", "31.1.2024", ""])
    def test_anything_else_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match=f"--since '{text}' is no date or time: write a day as"):
            parse_since(text)

    def test_zones_are_refused(self) -> None:
        with pytest.raises(ValueError, match="names a time zone"):
            parse_until("2024-01-31T22:30+01:00")


class TestCommand:
    @pytest.fixture
    def call(self, run_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
        monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "left alone")
        monkeypatch.setenv("COLUMNS", "160")

        def called(*arguments: str, stdin: str = "") -> tuple[int | str | None, str, str]:
            monkeypatch.setattr(sys, "argv", ["search", "--run", str(run_dir), *arguments])
            monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
            with pytest.raises(SystemExit) as left:
                main()
            told = capsys.readouterr()
            return left.value.code, told.out, told.err

        return called

    def test_a_table(self, call) -> None:
        code, out, _ = call(QUERY, "--top", "3")
        assert code == 0
        assert QUERY in out
        assert out.count("2024-01-0") == 3
        assert "Bedroom" in out

    def test_json(self, call, run: TrainedRun) -> None:
        code, out, _ = call(QUERY, "--top", "2", "--json", "--since", "2024-01-02", "--until", "2024-01-02")
        assert code == 0
        content = json.loads(out)
        assert content["query"] == QUERY
        found = find(run, open_index(run), QUERY, 2, datetime(2024, 1, 2), datetime(2024, 1, 3))
        assert [each["window"]["window_id"] for each in content["found"]] == [each.window.window_id for each in found]
        assert all(each["window"]["start"].startswith("2024-01-02") for each in content["found"])

    @pytest.mark.filterwarnings("default")
    def test_queries_from_standard_input(self, call) -> None:
        code, out, err = call("--json", "--top", "1", stdin="the kitchen\n\nrocket\nthe bedroom\n")
        assert [json.loads(line)["query"] for line in out.splitlines()] == ["the kitchen", "the bedroom"]
        assert err.splitlines()[0].startswith("warning: 1 word does not occur")
        assert err.splitlines()[1].startswith("error: the run knows no word of 'rocket'")
        assert code == 1

    def test_nothing_in_that_time(self, call) -> None:
        code, out, _ = call(QUERY, "--until", "2020-01-01")
        assert (code, out[:31]) == (0, "No window begins in that time. ")
        assert "Windows begin between 2024-01-01" in out

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--top", "0"], "error: --top 0: give at least 1"),
            (["--since", "2024-01-02", "--until", "2024-01-01"], "error: nothing is between --since 2024-01-02"),
            (["--since", "noon"], "error: --since 'noon' is no date or time"),
            (["--events", "/absent"], "error: There is no event file /absent"),
        ],
    )
    def test_faults_in_one_line(self, call, arguments: list[str], message: str) -> None:
        code, out, _ = call(QUERY, *arguments)
        assert str(code).startswith(message)
        assert not out


@pytest.mark.filterwarnings("default")
def test_windows_without_times_are_told_of(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    index = open_index(load_run(run_dir))
    index.start_N[:3] = np.datetime64("NaT", "us")
    monkeypatch.setattr("train.search.open_index", lambda run, events: index)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "left alone")
    monkeypatch.setattr(sys, "argv", ["search", "--run", str(run_dir), QUERY, "--since", "2024-01-02"])
    with pytest.raises(SystemExit):
        main()
    assert f"warning: 3 of {len(index)} windows have no time" in capsys.readouterr().err


def test_a_run_on_a_file_of_embeddings_answers_its_own_texts_alone(simulated_home: Path, tmp_path: Path) -> None:
    splits = [open_split(simulated_home, name) for name in ("train", "validation")]
    texts = sorted({text for split in splits for texts in split.captions() for text in texts})
    embeddings = np.random.default_rng(0).standard_normal((len(texts), 4))
    np.savez(tmp_path / "texts.npz", embeddings=embeddings, texts=np.array(texts))
    run = load_run(small_run(simulated_home, tmp_path / "run", text_model_name=str(tmp_path / "texts.npz")))
    assert find(run, open_index(run), texts[0])
    with pytest.raises(ValueError, match="cannot be looked for"):
        find(run, open_index(run), "someone gets up at night")
