import pytest
from pytorch_lightning.utilities import rank_zero_only

from regularizer_collection.runtime.error_log import leave_traceback


@pytest.mark.parametrize(("rank", "name"), [(0, "error.log"), (1, "error_rank_1.log")])
def test_each_process_has_a_file_of_its_own(rank, name, tmp_path, monkeypatch):
    monkeypatch.setattr(rank_zero_only, "rank", rank)
    assert leave_traceback(KeyError("the culprit"), tmp_path) == tmp_path / name
    assert "the culprit" in (tmp_path / name).read_text()
