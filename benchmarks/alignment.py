"""What encoder and text side bring: {Chronos-2, statistics} × text models, on one home, over several seeds.

    python benchmarks/alignment.py --events al_smarthome.txt.xz --text_models bag-of-words all-MiniLM-L6-v2 [--write]

Prepares the windows as the README's "Training on your own home" does, trains a run for each text model (a folder or hub
name, or bag-of-words), and measures it and its statistics baseline over seeds with `train.evaluate`. What is there is
not done again. Prints a table; `--write` puts it into README.md.
"""

import argparse
from pathlib import Path
from typing import Any

from train.config import TrainConfig
from train.evaluate import evaluate
from train.evaluation.again import BASELINE_FOLDER
from train.loop import train
from train.prepare import PrepareOptions, prepare

PAGE = Path(__file__).parents[1] / "README.md"
START, END = "<!-- alignment: written by benchmarks/alignment.py --write -->\n", "<!-- /alignment -->\n"
ROWS = {
    "window → own caption, first / among 10": ("retrieval/exact/window_to_caption", ("recall_at_1", "recall_at_10")),
    "window → any fitting caption, first / among 10": (
        "retrieval/multi_positive/window_to_caption",
        ("recall_at_1", "recall_at_10"),
    ),
    "caption → window, mean reciprocal rank": ("retrieval/multi_positive/caption_to_window", ("mean_reciprocal_rank",)),
    "zero-shot activity, accuracy / macro F1": ("recognition/zero_shot", ("accuracy", "macro_f1")),
    "zero-shot activity, balanced accuracy": ("recognition/zero_shot", ("balanced_accuracy",)),
    "linear probe of embedding, accuracy / macro F1": (
        "recognition/linear_probe_of_embedding",
        ("accuracy", "macro_f1"),
    ),
    "nearest neighbours of embedding, accuracy / macro F1": (
        "recognition/neighbours_probe_of_embedding",
        ("accuracy", "macro_f1"),
    ),
    "clusters, adjusted Rand / normalised mutual information": (
        "clustering",
        ("adjusted_rand", "normalized_mutual_information"),
    ),
}


def measured(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Name of the text model → numbers over seeds, those of the statistics encoder under BASELINE_FOLDER."""
    home = options.output / "home"
    if not home.exists():
        cut = {"length": 50, "train_days": 24, "validation_days": 6}
        prepare(PrepareOptions.model_validate({"input": options.events, "output": home, **cut}))
    reports = {}
    for model in options.text_models:
        name = model.rstrip("/").rpartition("/")[2]
        keys = {
            "train_data_path": home,
            "output_dir": options.output / name,
            "features_dir": options.output / "features",
            "chronos_model_name": options.chronos_model_name,
            "text_model_name": model,
            "evaluate": False,
        }
        outcome = train(TrainConfig.model_validate(keys))
        reports[name] = evaluate(outcome.run_dir, seeds=options.seeds)["seeds"]
    return reports


def table(reports: dict[str, dict[str, Any]], encoder: str) -> str:
    """Markdown: a row for each measure, a column for each pair of encoder and text model; in %."""
    columns = {}
    for name, report in reports.items():
        columns[f"{encoder}, {name}"] = report
        columns[f"statistics, {name}"] = report[BASELINE_FOLDER]
    lines = [f"| measure, in % | {' | '.join(columns)} | chance |", f"| --- |{' ---: |' * (len(columns) + 1)}"]
    for title, (path, numbers) in ROWS.items():
        parts = [_at(report, path) for report in columns.values()]
        cells = [" / ".join(_number(part[number]) for number in numbers) for part in parts]
        chance = " / ".join(f"{100 * parts[0][number]['chance']:.1f}" for number in numbers)
        lines.append(f"| {title} | {' | '.join(cells)} | {chance} |")
    return "\n".join(lines) + "\n"


def _at(report: Any, path: str) -> dict[str, Any]:
    for key in path.split("/"):
        report = report[key]
    return report


def _number(number: dict[str, Any]) -> str:
    return f"{100 * number['value']:.1f} ± {100 * number['half_width']:.1f}"


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=Path, required=True)
    parser.add_argument("--text_models", nargs="+", required=True)
    parser.add_argument("--chronos_model_name", default="random:chronos-2")
    parser.add_argument("--output", type=Path, default=Path("runs/alignment"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    text = table(measured(options), options.chronos_model_name)
    print(text)
    if options.write:
        before, _, rest = PAGE.read_text().partition(START)
        PAGE.write_text(before + START + text + END + rest.partition(END)[2])


if __name__ == "__main__":
    main()
