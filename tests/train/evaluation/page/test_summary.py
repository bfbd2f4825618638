from report_page import make_page

from train.evaluation.page.summary import sentences


def test_the_run_and_its_headline_numbers_stand_beside_chance() -> None:
    page = make_page()
    page.report["run"]["step"] = 40
    trained, found, recognised = sentences(page)
    assert "on 240 windows, for 50 steps" in trained
    assert "after 40 steps, when their loss on these windows was lowest: the same windows chose them" in trained
    assert "(bag of words)" in trained
    assert "random, untrained weights (random:tiny)" in trained
    assert "60 validation windows" in trained
    assert "30.0% of the windows, where a random order would do so for 2.0%" in found
    assert "60.0% of the windows that have one; a guess among all activities for 20.0%" in recognised
    assert "always naming the most frequent activity for 45.0%" in recognised


def test_weights_and_encoders_are_named() -> None:
    def trained(**run: object) -> str:
        return sentences(make_page(3, report={"run": run}))[0]

    assert "features of Chronos-2 (amazon/chronos-2)" in trained(encoder="chronos2", weights="amazon/chronos-2")
    assert "simple statistics of each window" in trained(encoder="statistics", weights=None)


def test_what_is_unknown_is_not_said() -> None:
    reports = [
        {},
        {"retrieval": {"not_measured": "why"}, "recognition": {"not_measured": "why"}},
        {"recognition": {"zero_shot": {"not_measured": "why"}}},
    ]
    for report in reports:
        assert len(sentences(make_page(3, report=report, config={}, metrics=[]))) == 1
