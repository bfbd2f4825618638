"""Results as Markdown: a line while a case is done, a table for the pages."""

from collections.abc import Mapping, Sequence
from typing import Any

HEADINGS = (
    "| case | ours, s | reference, s | ratio (lowest … highest) | to reach | peak memory | difference | besides |"
)
RULE = "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |"

QUIET = 0.1  # of the processors: more taken by others is told

Results = Mapping[str, Any]


def lines(result: Results) -> list[str]:
    """The lines of one case: medians (least), and a second one where the reference ran under torch.compile."""
    apart = f"{result['difference']['value']:.0e}{'' if agrees(result) else ', MORE THAN ROUNDING'}"
    memory = ""
    if "memory" in result:
        peaks = [max(run["peak_mb"] for run in result["runs"][side]) for side in ("chronos_jax", "reference")]
        memory = f"{peaks[0]:,.0f} / {peaks[1]:,.0f} MB{_target(result['memory'], '≤')}"
    cells = [result["title"], *_times(result, "reference", "ratio"), memory, apart, besides(result)]
    rows = [f"| {' | '.join(cells)} |"]
    if "ratio_compiled" in result:
        cells = ["… reference under torch.compile", *_times(result, "reference_compiled", "ratio_compiled"), "", "", ""]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def agrees(result: Results) -> bool:
    """Whether both sides gave the same answers, but for rounding."""
    found = [result[kind] for kind in ("difference", "error") if kind in result]
    return all(one["value"] <= one["tolerance"] for one in found)


def besides(result: Results) -> str:
    """What else a case tells, in words."""
    told = []
    if "error" in result:
        value, tolerance = result["error"]["value"], result["error"]["tolerance"]
        told.append(f"error against float32 {value:.2f} of the reference's (≤ {tolerance})")
    if "share" in result:
        rate = result["share"]["product_flops_per_second"]
        told.append(
            f"{result['share']['value']:.0%} of the {_rate(rate)} of a plain product{_target(result['share'], '≥')}"
        )
    if "reference_share" in result:
        rate = result["reference_share"]["product_flops_per_second"]
        told.append(f"the reference {result['reference_share']['value']:.0%} of PyTorch's {_rate(rate)}")
    if "overhead" in result:
        told.append(f"{result['overhead']['value']:+.1%} over arrays{_target(result['overhead'], '≤')}")
    for name, seconds in result["seconds"].items():
        if name not in ("chronos_jax", "reference", "reference_compiled", "arrays", "product", "reference product"):
            told.append(f"{name}: {_seconds(seconds['median'])} s")
    if result["others"] > QUIET:
        told.append(f"other processes took {result['others']:.0%} of the processors: to be measured again")
    if "training" in result:
        told.append(
            "{windows:,} windows, {epochs} epochs; the reference did {reference_epochs}, the others follow".format(
                **result["training"]
            )
        )
    return "; ".join(told)


def full_table(results: Results) -> str:
    """All cases of one file of results, with what they were measured on."""
    rows = [line for result in results["cases"].values() for line in lines(result)]
    return "\n".join([heading(results), "", HEADINGS, RULE, *rows]) + "\n"


def heading(results: Results) -> str:
    """Size, type, machines, versions and repeats of a file of results."""
    cases = results["cases"].values()
    machines = dict.fromkeys(_machine(results["device"], result["machine"]) for result in cases)
    repeats = dict.fromkeys(str(result["options"]["repeats"]) for result in cases)
    versions = dict.fromkeys(
        "jax {jax}, torch {torch}, chronos-forecasting {chronos-forecasting}".format(**result["versions"])
        for result in cases
    )
    commits = dict.fromkeys(f"commit {result['versions']['commit'] or 'unknown'}" for result in cases)
    parts = (f"{results['size']}, {results['dtype']}", *machines, *versions, *commits, f"{' or '.join(repeats)} turns")
    commands = dict.fromkeys(f"`{result['command']}`" for result in cases)
    return "; ".join(parts) + ", by " + ", ".join(commands) + ":"


def compact_table(files: Sequence[Results]) -> str:
    """All files side by side: seconds of ours and the reference, and their ratio."""
    names = [f"{results['size']}, {results['device'].upper()}, {results['dtype']}" for results in files]
    titles = {case: result["title"] for results in files for case, result in results["cases"].items()}
    rows = [f"| ours / reference, s | {' | '.join(names)} |", "| --- |" + " ---: |" * len(names)]
    for case, title in titles.items():
        rows.append(f"| {title} | {' | '.join(_compact(results['cases'].get(case)) for results in files)} |")
    return "\n".join(rows) + "\n"


def _times(result: Results, reference: str, ratio: str) -> list[str]:
    seconds, found = result["seconds"], result[ratio]
    cells = [
        f"{_seconds(seconds[side]['median'])} ({_seconds(seconds[side]['least'])})"
        for side in ("chronos_jax", reference)
    ]
    reached = {True: "reached", False: "missed", None: ""}[found["reached"]]
    target = "" if found["target"] is None else f"{found['target']} ×, {reached}"
    several = len(result["runs"]["chronos_jax"]) > 1
    spread = f"{found['lowest']:.2f} … {found['highest']:.2f}" if several else "one turn"
    return [*cells, f"{found['value']:.2f} × ({spread})", target]


def _compact(result: Results | None) -> str:
    if result is None:
        return ""
    ours, reference = (_seconds(result["seconds"][side]["median"]) for side in ("chronos_jax", "reference"))
    followed = ""
    if "training" in result:
        followed = " ({reference_epochs} of {epochs} epochs of the reference measured)".format(**result["training"])
    return f"{ours} / {reference}: {result['ratio']['value']:.1f} ×{followed}"


def _target(found: Mapping[str, Any], sign: str) -> str:
    if found["target"] is None:
        return ""
    return f" ({sign} {found['target']} to reach: {'reached' if found['reached'] else 'missed'})"


def _seconds(seconds: float) -> str:
    return f"{seconds:,.0f}" if seconds >= 100 else f"{seconds:.3g}"


def _rate(flops_per_second: float) -> str:
    return f"{flops_per_second / 1e9:,.0f} GFLOP/s"


def _machine(device: str, machine: Mapping[str, Any]) -> str:
    processor = f"{machine['processor']}, {machine['cpus']} processors"
    return processor if device == "cpu" else f"{machine['device']} ({processor})"
