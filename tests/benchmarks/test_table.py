import json

import pytest

from benchmarks.table import Row, markdown
from regularizer_collection.experiments.marked_part import replace_part
from regularizer_collection.experiments.run import PROJECT


def test_ratio_and_distance_to_the_limit():
    row = Row("step", ours=0.2, peer_name="peer", peer=0.5, limit=0.1)
    assert row.ratio == pytest.approx(2.5)
    assert row.distance == pytest.approx(2.0)
    assert row.cells() == ["step", "0.2 s", "peer", "0.5 s", "2.50", "0.1 s", "2.00", ""]


def test_what_was_not_compared_stays_empty():
    cells = Row("share", ours=0.31, unit="%", remark="of 600 steps").cells()
    assert cells == ["share", "0.31 %", "", "", "", "", "", "of 600 steps"]


def test_the_readme_holds_the_table_that_was_measured():
    readme = (PROJECT / "README.md").read_text()
    document = json.loads((PROJECT / "results" / "bench.json").read_text())
    assert readme == replace_part(readme, "bench", markdown(document))
