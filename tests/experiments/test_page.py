"""The report's page in a real browser."""

from math import nan

import pandas as pd
import pytest
from axe_core_python.selenium import Axe
from matplotlib.figure import Figure

from regularizer_collection.__main__ import main
from regularizer_collection.experiments.page import html_page, markdown_page
from regularizer_collection.experiments.run import PROJECT


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    assert main(["report", str(PROJECT / "results" / "stable_15_epochs"), "--out", str(out)]) == 0
    return (out / "index.html").as_uri()


def test_a_mean_is_rounded_to_what_its_interval_allows_and_stands_with_it_in_one_column():
    columns = [("zoom", "mean"), ("zoom", "conf_interval"), (0.01, "mean"), (0.01, "not_reached")]
    rows = [
        (33944.2, 27812.9, 12345.6, 0.25),
        (0.05936, 0.01001, 0.123456, nan),
        (46.5, 0.0, 1e-5, 0.0),
        (46.52, nan, 2.0, 1.0),
        (9.996, 0.0996, -1234.5, 0.5),
    ]
    table = pd.DataFrame(rows, list("abcde"), pd.MultiIndex.from_tuples(columns, names=None))
    lines = markdown_page({"Table": table}, [], []).split("\n## Table\n")[1].split("\n")
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "|" in line]
    assert cells[0] == [
        "",
        "zoom \N{PLUS-MINUS SIGN} 95 %",
        "zoom 0.01 mean",
        "zoom 0.01 not_reached",
    ]
    written = [row[1].replace("\N{PLUS-MINUS SIGN}", "+-") for row in cells[2:]]
    assert written == ["34000 +- 28000", "0.059 +- 0.010", "46.5 +- 0", "46.52", "9.996 +- 0.100"]
    assert [row[2] for row in cells[2:]] == ["12346", "0.1235", "1e-05", "2", "-1234"]
    assert cells[3][3] == "not known"


def test_a_column_that_is_no_interval_of_another_stays():
    table = pd.DataFrame({"difference": [1.0], "difference_interval": [0.5], "my_interval": [2.0]})
    (head,) = (
        line for line in markdown_page({"T": table}, [], []).split("\n") if "difference" in line
    )
    assert [cell.strip() for cell in head.split("|")[2:-1]] == [
        "difference \N{PLUS-MINUS SIGN} 95 %",
        "my_interval",
    ]


# Colours are the same on both screens, and what a screen has room for in both colours.
@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (400, "dark")])
def test_axe_finds_no_fault_of_the_report(report, browser, width, scheme):
    look(browser, report, width, scheme)
    found = Axe().run(browser, options={"resultTypes": ["violations"]})
    assert found["passes"]
    assert [(fault["id"], fault["nodes"][0]["html"]) for fault in found["violations"]] == []


def test_a_phone_need_not_scroll_sideways(report, browser):
    look(browser, report, 400, "light")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 400


def look(browser, address, width, scheme):
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    preference = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [preference]})
    browser.get(address)


def test_a_click_sorts_by_a_column_and_another_the_other_way_round(browser, tmp_path):
    table = pd.DataFrame({"accuracy": [9.5, nan, 40.0], "kind": ["b", "a", "c"]}, list("xyz"))
    page = tmp_path / "page.html"
    figures = {"Nothing": Figure()}
    page.write_text(
        html_page({"Table": table}, figures, {"Nothing": "empty"}, ["answer"], ["note"])
    )
    browser.get(page.as_uri())

    def click(column):
        browser.find_element("xpath", f"//button[.='{column}']").click()
        return "".join(head.text for head in browser.find_elements("css selector", "tbody th"))

    assert click("accuracy") == "zxy"
    assert click("accuracy") == "xzy"
    assert click("kind") == "zxy"
    assert click("kind") == "yxz"
    assert click("row") == "zyx"
    heads = browser.find_elements("css selector", "thead th")
    assert [head.get_attribute("aria-sort") for head in heads] == ["descending", None, None]


def test_a_bar_in_a_name_ends_no_cell():
    table = pd.DataFrame({"mean": [1.5]}, index=["a|b"])
    assert "| a\\|b |" in markdown_page({"Table": table}, ["answer"], [])
