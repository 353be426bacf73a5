"""The report's page in a real browser."""

import pandas as pd
import pytest
from axe_core_python.selenium import Axe
from matplotlib.figure import Figure

from regularizer_collection.__main__ import main
from regularizer_collection.experiments.page import html_page
from regularizer_collection.experiments.run import PROJECT


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    assert main(["report", str(PROJECT / "results" / "stable_15_epochs"), "--out", str(out)]) == 0
    return (out / "index.html").as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 400])
def test_axe_finds_no_fault_of_the_report(report, browser, width, scheme):
    look(browser, report, width, scheme)
    found = Axe().run(browser)
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
    nan = float("nan")
    table = pd.DataFrame({"accuracy": [9.5, nan, 40.0], "kind": ["b", "a", "c"]}, list("xyz"))
    page = tmp_path / "page.html"
    figures = {"Nothing": Figure()}
    page.write_text(html_page({"Table": table}, figures, {"Nothing": "none"}, ["answer"]))
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
