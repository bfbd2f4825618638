import json
from typing import Any

from train.evaluation.page.measures import Number, columns_of, groups_of, headlines_of, in_words, intervals_of

REPORT: dict[str, Any] = {
    "intervals": {"level": 0.95, "method": "percentile bootstrap", "resamples": 1000},
    "run": {"encoder": "chronos2", "weights": "random:tiny", "step": 7},
    "retrieval": {
        "resampled": {"units": "days", "count": 9},
        "exact": {
            "window_to_caption": {
                "queries": 1200,
                "recall_at_5": {"value": 0.5, "interval": [0.4, 0.65], "chance": 0.1},
                "mean_reciprocal_rank": {"value": 0.25, "interval": [0.2, 0.3], "chance": 0.05},
            }
        },
    },
    "recognition": {
        "zero_shot": {"macro_f1": {"value": 0.2, "chance": 0.1, "majority": 0.0}, "per_class": {"Eat": {"f1": 0.3}}},
        "linear_probe": {"not_measured": "one label only"},
    },
    "baseline_statistics": {"retrieval": {"exact": {"window_to_caption": {"recall_at_5": {"value": 0.75}}}}},
    "seeds": {
        "seeds": [0, 1, 2],
        "retrieval": {"exact": {"window_to_caption": {"recall_at_5": {"value": 0.52, "half_width": 0.03}}}},
    },
}


def test_measures_stand_beside_baseline_seeds_and_guesses() -> None:
    assert columns_of(REPORT) == ["Chronos-2, random weights", "statistics", "mean of 3 seeds", "chance", "majority"]
    group = groups_of(REPORT)[0]
    assert (group.title, group.note) == ("retrieval, exact, window → caption", "1,200 queries")
    recall, reciprocal = group.measures
    assert recall.name == "recall at 5"
    assert recall.numbers == [
        Number("50.0%", "40.0% to 65.0%", 50.0, 40.0, 65.0),
        Number("75.0%", "", 75.0, 75.0, 75.0),
        Number("52.0%", "± 3.0%", 52.0, 49.0, 55.0),
        Number("10.0%", "", 10.0, 10.0, 10.0),
        None,
    ]
    assert reciprocal.numbers[0] == Number("0.250", "0.200 to 0.300", 25.0, 20.0, 30.0)
    assert reciprocal.numbers[1] is None


def test_the_first_rows_are_those_of_the_main_measures_that_are_there() -> None:
    report = json.loads(json.dumps(REPORT))
    report["retrieval"]["exact"]["window_to_caption"]["recall_at_10"] = {"value": 0.6, "chance": 0.2}
    report["clustering"] = {"adjusted_rand": {"value": 0.1, "chance": 0.0}, "purity": {"value": 0.3}}
    exact, clusters = headlines_of(report)
    assert (exact.name, clusters.name) == ("window → caption, exact, recall at 10", "clusters, adjusted Rand")
    assert len(exact.numbers) == len(columns_of(report))
    assert exact.numbers[3] == Number("20.0%", "", 20.0, 20.0, 20.0)
    assert headlines_of({}) == []


def test_what_no_seed_changes_has_no_interval() -> None:
    same = {"value": 0.25, "half_width": 0.0, "values": [0.25] * 3}
    scores = {"linear_probe_of_encoder": {"accuracy": {"value": 0.25}}}
    report = {
        "recognition": scores,
        "seeds": {"seeds": [0, 1, 2], "recognition": {"linear_probe_of_encoder": {"accuracy": same}}},
    }
    [group] = groups_of(report)
    assert group.measures[0].numbers[1] == Number("25.0%", "same for all seeds", 25.0, 25.0, 25.0)


def test_what_was_not_measured_says_why_and_classes_are_elsewhere() -> None:
    zero_shot, probe = groups_of(REPORT)[1:]
    assert [measure.name for measure in zero_shot.measures] == ["macro F1"]
    assert (probe.title, probe.note, probe.measures) == (
        "recognition, linear probe",
        "not measured: one label only",
        [],
    )


def test_unknown_reports_are_shown_as_far_as_they_go() -> None:
    assert groups_of({}) == []
    assert columns_of({}) == ["this run"]
    unknown = {"new": {"deeper": {"share_of_accuracy": 0.5, "list": [1, 2], "nothing": None}}, "other": 3}
    [group] = groups_of(unknown)
    assert [(measure.name, measure.numbers) for measure in group.measures] == [
        ("share of accuracy", [Number("50.0%", "", 50.0, 50.0, 50.0)])
    ]


def test_bars_stay_on_their_track() -> None:
    [group] = groups_of({"clustering": {"adjusted_rand": {"value": -0.1, "interval": [-0.2, 1.4]}}})
    assert group.measures[0].numbers[0] == Number("-0.100", "-0.200 to 1.400", 0.0, 0.0, 100.0)


def test_intervals_and_keys_in_words() -> None:
    assert intervals_of(REPORT) == "95%, percentile bootstrap, 1,000 resamples"
    assert intervals_of({}) == ""
    assert in_words("caption_to_window") == "caption → window"
    assert in_words("weighted_f1") == "weighted F1"
