from report_page import make_page

from train.evaluation.page.classes import ClassScores, scores_of_classes


def test_each_label_has_precision_recall_and_f1() -> None:
    page = make_page(
        5,
        labels=["Eat", "Eat", "Eat", "Cook", ""],
        predictions={"one": ["Eat", "Cook", "Sleep", "Cook", "Eat"], "two": ["Eat", "Eat", "Eat", "Eat", "Eat"]},
        descriptions={},
    )
    # Of the four windows with a label: "Eat" is predicted once, rightly; "Cook" twice, once rightly.
    assert scores_of_classes(page) == [
        ClassScores("Eat", 3, precision=1.0, recall=1 / 3, f1=0.5, others=[6 / 7]),
        ClassScores("Cook", 1, precision=0.5, recall=1.0, f1=2 / 3, others=[0.0]),
    ]


def test_there_are_none_without_labels_or_predictions() -> None:
    assert scores_of_classes(make_page(3, labels=["", "", ""])) == []
    assert scores_of_classes(make_page(3, predictions={})) == []
