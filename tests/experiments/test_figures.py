"""Figures can be read with any number of variants."""

from itertools import pairwise

import pytest

from regularizer_collection.experiments.collect import tabulate
from regularizer_collection.experiments.figure_layout import plain
from regularizer_collection.experiments.figures import accuracy_figure, excess_smoothness_figure
from regularizer_collection.experiments.report import _figures
from tests.experiments.conftest import made_up

LONG = "a_variant_of_a_grid_lambda_jacobian=0.001"
STRANGE = (f"{LONG}_weight_decay=0.0005_milestones=0.5", r"$\badmath$", "_hidden", "<b>&'|ü")
FEW = ("no_reg", "jacobi_no_dropout", LONG, *STRANGE)
MANY = ("no_reg", *(f"variant_{number:02}" for number in range(12)))


def figures_of(variants):
    """The figures of a report, in which all networks have an equally accurate ``no_reg``."""
    way = {
        "test_curve/accuracy": [[step, 0.2 * step] for step in (1, 2, 3)],
        "test_curve/boundary_density/data": [[step, 0.5 * step] for step in (1, 2, 3)],
    }
    results = [made_up(variant, seed, history=way) for variant in variants for seed in (0, 1)]
    return _figures(tabulate(results), results, "no_reg")


@pytest.fixture(scope="module", params=[FEW, MANY], ids=["few", "many"])
def figures(request):
    figures = figures_of(request.param)
    for figure in figures.values():
        figure.draw_without_rendering()
    return figures


def test_nothing_is_cut_off_at_the_edge(figures):
    for title, figure in figures.items():
        width, height = figure.get_size_inches()
        drawn = figure.get_tightbbox()
        assert min(drawn.x0, drawn.y0) > -0.01, title
        assert drawn.x1 < width + 0.01, title
        assert drawn.y1 < height + 0.01, title


def test_no_two_names_of_rows_lie_upon_each_other(figures):
    for title, figure in figures.items():
        for axis in figure.axes:
            boxes = [label.get_window_extent() for label in axis.get_yticklabels()]
            drawn = sorted((box.y0, box.y1) for box in boxes if box.width)
            assert all(lower[1] <= upper[0] for lower, upper in pairwise(drawn)), title


def test_no_figure_is_too_wide_for_a_page(figures):
    assert max(figure.get_size_inches()[0] for figure in figures.values()) < 17


def test_every_mark_tells_what_it_measures(figures):
    for title, figure in figures.items():
        for axis in figure.axes:
            has_marks = any(line.get_marker() not in ("None", "") for line in axis.lines)
            assert not has_marks or axis.get_ylabel() or axis.get_xlabel(), title
    assert all(axis.get_ylabel() for axis in figures["Robustness"].axes)


def test_no_two_variants_look_alike(figures):
    axis = figures["Excess smoothness at equal accuracy"].axes[0]
    dots = [line for line in axis.lines if line.get_marker() not in ("None", "")]
    looks = {(line.get_color(), line.get_marker()) for line in dots}
    assert len(looks) == len(dots) > 2


def test_every_network_has_a_dot_though_seeds_repeat():
    results = [made_up("no_reg", 0, fingerprint=fingerprint) for fingerprint in ("a", "b")]
    (axis,) = accuracy_figure(tabulate(results)).axes
    dots = [line for line in axis.lines if line.get_marker() == "o"]
    assert sorted(dot.get_xdata()[0] for dot in dots) == sorted(
        100 * run["test"]["accuracy"] for run in results
    )


def test_beneath_excess_smoothness_stand_the_others_beside_the_baseline():
    lower = figures_of(FEW)["Excess smoothness at equal accuracy"].axes[1]
    names = [label.get_text() for label in lower.get_yticklabels()]
    assert [name.replace("\n", "").replace(" ", "") for name in names] == [
        plain(f"{name}(n=2)").replace("\n", "")
        for name in ("jacobi_no_dropout", *sorted((LONG, *STRANGE)))
    ]


def test_every_variant_is_in_the_legend():
    figure = figures_of(FEW)["Learning curves"]
    (legend,) = figure.legends
    assert len(legend.get_texts()) == len(FEW)


def test_without_a_way_of_the_baseline_there_is_nothing_beneath():
    results = [made_up(variant, 0) for variant in ("no_reg", "svb")]
    assert len(excess_smoothness_figure(results, "no_reg").axes) == 1
