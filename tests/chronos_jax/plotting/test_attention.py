import numpy as np
import pytest

from chronos_jax.plotting import plot_attention


def weights(layers=3, variates=2, heads=4, positions=10, *, patches_missing=0):
    """Time and group weights; the last variate lacks its first context patches."""
    rng = np.random.default_rng(0)
    counts_VxS = np.ones((variates, positions), bool)
    counts_VxS[-1, :patches_missing] = False
    time = rng.random((layers, variates, heads, positions, positions)) * counts_VxS[None, :, None, None, :]
    group = rng.random((layers, positions, heads, variates, variates)) * counts_VxS.T[None, :, None, None, :]
    return tuple(x / x.sum(-1, keepdims=True) for x in (time, group))


def maps(subfigure):
    return [axis.images[0].get_array() for axis in subfigure.axes if axis.get_title()]


def test_each_layer_has_a_map_of_time_and_one_of_group():
    time, group = weights()
    figure = plot_attention((time, group), num_output_patches=2, variate=1, variates=["power", "heat"])
    over_time, among = figure.subfigs
    assert over_time.get_suptitle() == "Time attention of heat, mean over 4 heads"
    assert [axis.get_title() for axis in over_time.axes[:3]] == ["layer 1", "layer 2", "layer 3"]
    np.testing.assert_allclose(maps(over_time), time[:, 1].mean(1), rtol=1e-6)
    np.testing.assert_allclose(maps(among), group.mean((1, 2)), rtol=1e-6)
    labels = [label.get_text() for label in over_time.axes[0].get_yticklabels()]
    assert labels == ["−7", "−6", "−5", "−4", "−3", "−2", "−1", "REG", "+1", "+2"]
    assert [label.get_text() for label in among.axes[0].get_yticklabels()] == ["power", "heat"]
    figure.draw_without_rendering()


def test_one_head_is_shown_where_asked():
    time, group = weights()
    over_time, among = plot_attention((time, group), num_output_patches=2, head=3).subfigs
    np.testing.assert_allclose(maps(over_time), time[:, 0, 3], rtol=1e-6)
    np.testing.assert_allclose(maps(among), group[:, :, 3].mean(1), rtol=1e-6)
    assert over_time.get_suptitle() == "Time attention of variate 0, head 3"


def test_positions_that_do_not_count_are_blank_and_left_out_of_means():
    time, group = weights(patches_missing=3)
    counts_S = np.arange(10) >= 3
    counts_SxS = counts_S[:, None] & counts_S[None, :]
    over_time, among = plot_attention((time, group), num_output_patches=1, variate=1).subfigs
    for image in maps(over_time):
        np.testing.assert_array_equal(image.mask, ~counts_SxS)
    np.testing.assert_allclose([image[0] for image in maps(among)], group.mean((1, 2))[:, 0], rtol=1e-6)
    np.testing.assert_allclose([image[1] for image in maps(among)], group[:, 3:].mean((1, 2))[:, 1], rtol=1e-6)


def test_a_variate_that_fills_up_a_group_is_blank():
    time, group = weights(variates=3)
    time[:, 2], group[..., 2] = 0, 0
    among = plot_attention((time, group), num_output_patches=1).subfigs[1]
    for image in maps(among):
        np.testing.assert_array_equal(image.mask, [[False, False, True], [False, False, True], [True, True, True]])


def test_a_single_variate_has_no_group():
    figure = plot_attention(weights(variates=1), num_output_patches=1)
    assert len(figure.subfigs) == 1


def test_many_layers_and_positions_stay_readable():
    figure = plot_attention(weights(12, 2, 1, 70), num_output_patches=4)
    figure.draw_without_rendering()
    axes = [axis for axis in figure.subfigs[0].axes if axis.get_title()]
    assert len(axes) == 12
    labels = [label for label in axes[0].get_yticklabels() if label.get_text()]
    assert {"−65", "REG"} <= {label.get_text() for label in labels}
    boxes = [label.get_window_extent() for label in labels]
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])


def test_long_names_leave_room_for_the_maps():
    names = [f"the temperature outside of house number {number}" for number in range(20)]
    figure = plot_attention(weights(2, 20), num_output_patches=1, variates=names)
    figure.draw_without_rendering()  # warns where the maps have no room
    axis = figure.subfigs[1].axes[0]
    labels = [label.get_text() for label in axis.get_yticklabels() if label.get_text()]
    assert len({*labels}) >= 10
    assert all(len(label) <= 24 and "…" in label for label in labels)
    assert min(axis.get_window_extent().width, axis.get_window_extent().height) > 1.5 * figure.dpi


TIME, GROUP = weights()


@pytest.mark.parametrize(
    ("attentions", "options", "message"),
    [
        (
            (TIME[:, None], GROUP[:, None]),
            {},
            r"must have shapes \(layers, variates, heads.*found \(3, 1, 2, 4, 10, 10\)",
        ),
        ((TIME, GROUP[:, 1:]), {}, r"found \(3, 2, 4, 10, 10\) and \(3, 9, 4, 2, 2\)"),
        ((TIME[:0], GROUP[:0]), {}, r"found \(0, 2,"),
        ([(TIME, GROUP)], {}, "must be a pair of arrays.*found list; of a list, pass one"),
        ((TIME, GROUP), {"num_output_patches": 9}, "num_output_patches must lie between 1 and 8.*found 9"),
        ((TIME, GROUP), {"variate": 2}, "variate must lie between 0 and 1, found 2"),
        ((TIME, GROUP), {"head": 4}, "head must lie between 0 and 3, found 4"),
        ((TIME, GROUP), {"variates": ["a"]}, "variates must name 2 variates, found 1 names"),
    ],
)
def test_weights_that_do_not_fit_are_refused(attentions, options, message):
    with pytest.raises(ValueError, match=message):
        plot_attention(attentions, **{"num_output_patches": 1, **options})
