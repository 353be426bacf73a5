import os

import pytest

from regularizer_collection.runtime.atomic_write import atomic_write


def test_a_file_is_there_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("before")
    with pytest.raises(UnicodeEncodeError), atomic_write(path) as file:
        file.write("half \ud800")
    assert path.read_text() == "before"
    with atomic_write(path) as file:
        file.write("whole")
        assert path.read_text() == "before"
    assert path.read_text() == "whole"
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_signals_handler_may_write_the_file_that_is_being_written(tmp_path):
    path = tmp_path / "a.json"
    with atomic_write(path) as file:
        file.write("the inter")
        with atomic_write(path) as handlers:
            handlers.write("the handler's")
        assert path.read_text() == "the handler's"
        file.write("rupted")
    assert path.read_text() == "the interrupted"
    assert os.listdir(tmp_path) == ["a.json"]
