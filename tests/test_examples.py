import json
import subprocess
import sys

import pytest

from regularizer_collection.experiments import accuracy_table, collect_results
from regularizer_collection.experiments.run import PROJECT, python_path

EXAMPLES = sorted((PROJECT / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_runs(example, tmp_path):
    done = subprocess.run(
        [sys.executable, str(example)],
        cwd=tmp_path,
        env={"PYTHONPATH": python_path(), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_notebook_shows_the_tables_of_the_results_in_the_repository(monkeypatch):
    monkeypatch.chdir(PROJECT / "examples")
    cells = json.loads((PROJECT / "examples" / "results.ipynb").read_text())["cells"]
    shown = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), shown)
    expected = accuracy_table(collect_results(PROJECT / "results" / "source_50_epochs"))
    assert shown["accuracy"].equals(expected)
    assert list(shown["isotropic"].index) == list(shown["density"].index) == list(expected.index)


def test_the_notebook_keeps_no_output_that_could_grow_old():
    cells = json.loads((PROJECT / "examples" / "results.ipynb").read_text())["cells"]
    assert not any(cell.get("outputs") for cell in cells)
