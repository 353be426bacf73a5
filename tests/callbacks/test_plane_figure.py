import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg

from regularizer_collection.callbacks.plane_figure import class_colors, plane_figure


def draw(class_map, distance=3.0, half_width=10.0):
    image = torch.zeros(4, 4, 3, dtype=torch.uint8)
    return plane_figure("title", half_width, 5, [class_map], [image], [distance], ["caption"])


def test_each_class_has_its_own_colour_and_no_class_is_black():
    colors = class_colors(100)(np.arange(101))[:, :3]
    assert len(np.unique(colors.round(3), axis=0)) == 101
    assert colors[0].tolist() == [0, 0, 0]


def test_a_class_keeps_its_colour_whatever_else_is_on_the_map():
    def pixel(class_map):
        figure = draw(class_map, half_width=1.0)
        return figure.axes[0].images[0].to_rgba(class_map.numpy())[0, 0]

    few = torch.full((3, 3), 2)
    many = torch.tensor([[2, 0, 1], [3, 4, -1], [0, 0, 0]])
    np.testing.assert_array_equal(pixel(few), pixel(many))


def test_axes_are_in_input_units_with_image_and_circle_at_the_centre():
    axis = draw(torch.zeros(5, 5, dtype=torch.int64)).axes[0]
    assert axis.get_xlim() == axis.get_ylim() == (-10, 10)
    left, right, bottom, top = axis.images[1].get_extent()
    assert (left + right, bottom + top) == (0, 0)
    assert {circle.radius for circle in axis.patches} == {3.0}
    assert axis.get_title() == "caption"


def test_there_is_no_circle_where_the_map_holds_no_boundary():
    assert not draw(torch.zeros(5, 5, dtype=torch.int64), distance=10.0).axes[0].patches


@pytest.mark.parametrize("count", [1, 2, 7])
def test_unused_axes_are_hidden(count):
    maps = [torch.zeros(3, 3, dtype=torch.int64)] * count
    images = [torch.zeros(2, 2, 3, dtype=torch.uint8)] * count
    figure = plane_figure("title", 1.0, 2, maps, images, [0.5] * count, ["caption"] * count)
    FigureCanvasAgg(figure).draw()
    assert sum(axis.axison for axis in figure.axes) == count
