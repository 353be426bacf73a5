from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from regularizer_collection.experiments.svg import svg

SVG = "{http://www.w3.org/2000/svg}"


def hints(axis_and_figure, description="one"):
    root = ElementTree.fromstring(svg(axis_and_figure[1], description))
    return [title.text for title in root.iter(f"{SVG}title")]


@pytest.fixture
def drawn():
    figure = Figure()
    return figure.subplots(), figure


def test_a_marker_tells_label_and_values_of_the_axes_that_have_a_name(drawn):
    drawn[0].plot([1, 2], [30, 41.25], "o-", label="svb\n(n = 2)")
    assert hints(drawn) == ["svb (n = 2): ", "svb (n = 2): "]
    drawn[0].set_ylabel("accuracy (%)")
    assert hints(drawn) == ["svb (n = 2): 30", "svb (n = 2): 41.25"]
    drawn[0].set_xlabel("epoch")
    assert hints(drawn) == ["svb (n = 2): 1, 30", "svb (n = 2): 2, 41.25"]


def test_a_line_without_markers_tells_its_label_and_one_without_label_nothing(drawn):
    drawn[0].plot([1, 2], [3, 4], label="svb")
    drawn[0].plot([1, 2], [3, 4], "o")
    assert hints(drawn) == ["svb"]


def test_a_bar_tells_its_height_and_its_whiskers_nothing(drawn):
    drawn[0].set_ylabel("accuracy (%)")
    drawn[0].bar(["a", "b"], [30, 41.25], yerr=[1, 2], capsize=3, label=["svb", "l2"])
    drawn[0].bar(["a", "b"], [5, 6], label="both")
    assert hints(drawn) == ["svb: 30", "l2: 41.25", "both: 5", "both: 6"]


def test_figures_of_one_page_share_no_id_and_every_reference_is_to_their_own(drawn):
    drawn[0].plot([1, 2], [3, 4], "o", label="svb")
    pictures = [svg(drawn[1], description) for description in ("one", "two")]
    ids = [
        {
            element.attrib["id"]
            for element in ElementTree.fromstring(picture).iter()
            if "id" in element.attrib
        }
        for picture in pictures
    ]
    assert ids[0]
    assert not ids[0] & ids[1]
    for picture, own in zip(pictures, ids, strict=True):
        used = {part.split('"')[0] for part in picture.split('href="#')[1:]}
        used |= {part.split(")")[0] for part in picture.split("url(#")[1:]}
        assert used
        assert used <= own


def test_a_screen_reader_is_told_what_there_is_to_see(drawn):
    root = ElementTree.fromstring(svg(drawn[1], "Accuracy of <two> networks."))
    assert root.tag == f"{SVG}svg"
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == "Accuracy of <two> networks."


def test_the_same_figure_gives_the_same_text_again(drawn):
    drawn[0].plot([1, 2], [3, 4], "o", label="svb")
    assert svg(drawn[1], "one") == svg(drawn[1], "one")
