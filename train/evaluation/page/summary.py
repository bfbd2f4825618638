"""The run and its headline numbers in words."""

from typing import Any

from chronos_jax.chronos2.random_weights import PREFIX
from train.evaluation.names import text_name
from train.evaluation.page.content import Page
from train.evaluation.page.measures import value_of, written


def sentences(page: Page) -> list[str]:
    """What was trained on what, and how often it is right; what is not known is not said."""
    return [sentence for sentence in (_trained(page), _found(page.report), _recognised(page)) if sentence]


def _trained(page: Page) -> str:
    run, config = page.report.get("run", {}), page.config
    weights = run.get("weights")
    if run.get("encoder") == "statistics":
        sensor = "simple statistics of each window"
    elif str(weights).startswith(PREFIX):
        sensor = f"features of Chronos-2 with random, untrained weights ({weights})"
    elif weights:
        sensor = f"features of Chronos-2 ({weights})"
    else:
        sensor = "features of sensor windows"
    text = text_name(config["text_model_name"]) if "text_model_name" in config else "a text tower"
    amount = f" on {run['train_windows']:,} windows" if isinstance(run.get("train_windows"), int) else ""
    last = max((line["step"] for line in page.metrics if line.get("kind") == "train"), default=0)
    steps = f", for {last:,} steps" if last else ""
    return (
        f"Two small networks were trained{amount}{steps}, to give {sensor} and the words of their captions ({text}) "
        f"the same place. All numbers and pictures here are of the {len(page.windows_NxD):,} validation windows."
        f"{_measured(run.get('step'))}"
    )


def _measured(step: Any) -> str:
    if not isinstance(step, int):
        return ""
    return (
        f" They are of the networks after {step:,} steps, when their loss on these windows was lowest: the same "
        "windows chose them and measure them."
    )


def _found(report: dict[str, Any]) -> str:
    leaf, chance = _first_recall(report.get("retrieval"))
    if leaf is None:
        return ""
    beside = f", where a random order would do so for {chance:.1%}" if chance is not None else ""
    return f"Of all captions, the one found first is the window's own for {leaf:.1%} of the windows{beside}."


def _first_recall(retrieval: Any) -> tuple[float | None, float | None]:
    """Recall at 1 from windows to captions, and its chance; multi-positive where there are several forms."""
    if not isinstance(retrieval, dict):
        return None, None
    form = retrieval.get("multi_positive", retrieval)
    measured = form.get("window_to_caption") if isinstance(form, dict) else None
    leaf = measured.get("recall_at_1") if isinstance(measured, dict) else None
    return value_of(leaf), value_of(leaf.get("chance")) if isinstance(leaf, dict) else None


def _recognised(page: Page) -> str:
    recognition = page.report.get("recognition")
    scores = recognition.get("zero_shot") if isinstance(recognition, dict) else None
    leaf = scores.get("accuracy") if isinstance(scores, dict) else None
    if (accuracy := value_of(leaf)) is None or not isinstance(leaf, dict):
        return ""
    guesses = {name: value_of(leaf.get(name)) for name in ("chance", "majority")}
    texts = {"chance": "a guess among all activities", "majority": "always naming the most frequent activity"}
    beside = " and ".join(f"{texts[name]} for {value:.1%}" for name, value in guesses.items() if value is not None)
    return (
        "Named by the description that is nearest, never having learnt from a label, the activity is right for "
        f"{written('accuracy', accuracy)} of the windows that have one{f'; {beside}' if beside else ''}."
    )
