from report_page import make_page

from train.evaluation.page.curves import MOST_POINTS, plot_curves


def test_measures_have_figures_and_lines() -> None:
    plots = {plot.description: plot for plot in plot_curves(make_page().metrics)}
    assert list(plots) == ["Loss", "Accuracy within a batch", "Temperature", "Learning rate"]
    training, validation = plots["Loss"].figure.data
    assert (training.name, validation.name) == ("training", "validation")
    assert list(training.x) == [10, 20, 30, 40, 50]
    assert list(validation.x) == [10, 20, 40, 50]  # what was not finite is null in metrics.jsonl
    assert list(validation.y) == [4.0, 2.0, 1.0, 0.8]
    assert len(plots["Accuracy within a batch"].figure.data) == 4


def test_what_was_not_written_has_no_figure() -> None:
    assert plot_curves([]) == []
    assert plot_curves([{"step": 0, "kind": "start", "devices": 1}]) == []
    [plot] = plot_curves([{"step": 5, "kind": "train", "temperature": 0.1}])
    assert plot.description == "Temperature"
    assert plot.figure.data[0].mode == "markers"


def test_long_runs_are_thinned() -> None:
    [plot] = plot_curves([{"step": step, "kind": "train", "loss": 1.0} for step in range(3 * MOST_POINTS - 1)])
    assert MOST_POINTS / 2 < len(plot.figure.data[0].x) <= MOST_POINTS
