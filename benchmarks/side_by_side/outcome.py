"""From measurements of a case to what is said of it: ratios, targets and whether they were reached."""

import statistics
from typing import Any

from benchmarks.side_by_side.cases import NONE, Case, Targets
from benchmarks.side_by_side.loading import Device, Dtype
from benchmarks.side_by_side.measuring import Ratio, Runs, ratio, values
from benchmarks.side_by_side.product import product_flops

# Each side rounds weights and what enters a product to 8 bits, in another order, and the reference what comes out of
# every sublayer, too: two such answers differ by some percent of the largest value, wherever one looks.
BFLOAT16_TOLERANCE = 0.1

ERROR_TOLERANCE = 1.1
"""How much further from float32 ours may be than the reference in the same type."""


def outcome(case: Case, runs: Runs, device: Device, dtype: Dtype, flops: int | None) -> dict[str, Any]:
    """What a case came to, as JSON.

    Args:
        case: What was run.
        runs: Measurements of "chronos_jax" and "reference", and perhaps of "reference_compiled" and of `ours_too`.
        device: Where.
        dtype: In which type.
        flops: Operations that the case needs; None where they are not counted.

    Returns:
        "seconds": median and least of each; "others", the share of the processors that other processes took; and, each
        with value, lowest, highest, target and whether it was reached, whatever of these the case has: "ratio" and
        "ratio_compiled", seconds of the reference over ours; "memory", our peak over the reference's; "overhead", our
        seconds over those from arrays, less 1; "share" and "reference_share", the rate at which either side did what is
        necessary over that of its own library's fastest product.
    """
    ours, reference = runs["chronos_jax"], runs["reference"]

    def judged(found: Ratio, targets: Targets, more: bool) -> dict[str, Any]:
        target = _target(targets, device, dtype)
        reached = None if target is None else bool(found.value >= target if more else found.value <= target)
        return {**found._asdict(), "target": target, "reached": reached}

    told: dict[str, Any] = {
        "seconds": {
            name: {"median": statistics.median(values(taken)), "least": min(values(taken))}
            for name, taken in runs.items()
        },
        "others": statistics.median(values([*ours, *reference], "others")),
        "ratio": judged(ratio(reference, ours), case.ratio, more=True),
    }
    if "reference_compiled" in runs:
        told["ratio_compiled"] = judged(ratio(runs["reference_compiled"], ours), case.ratio, more=True)
    if "peak_mb" in ours[0]:
        told["memory"] = judged(ratio(ours, reference, "peak_mb"), case.memory, more=False)
    if "arrays" in runs:
        beyond = Ratio(*(value - 1 for value in ratio(ours, runs["arrays"])))
        told["overhead"] = judged(beyond, case.overhead, more=False)
    if "product" in runs and flops is not None:
        for name, side, product, targets in (
            ("share", ours, "product", case.share),
            ("reference_share", reference, "reference product", NONE),
        ):
            rate = product_flops(device) / min(values(runs[product], "least_seconds"))
            shares = [flops / seconds / rate for seconds in values(side)]
            share = Ratio(statistics.median(shares), min(shares), max(shares))
            told[name] = judged(share, targets, more=True) | {"flops": flops, "product_flops_per_second": rate}
    return told


def tolerance(case: Case, dtype: Dtype) -> float:
    """How far answers may differ by rounding, as a share of the reference's largest value."""
    return case.tolerance if dtype == "float32" else max(case.tolerance, BFLOAT16_TOLERANCE)


def _target(targets: Targets, device: Device, dtype: Dtype) -> float | None:
    """Targets are set for float32 on a CPU and for bfloat16 on a GPU."""
    if (device, dtype) == ("cpu", "float32"):
        return targets.cpu
    return targets.gpu if (device, dtype) == ("gpu", "bfloat16") else None
