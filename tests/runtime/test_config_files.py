import pytest

from regularizer_collection.runtime.config_files import FOLDER, find_config


def test_a_bare_name_is_a_file_here_or_else_one_that_comes_with_the_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config("svb.yaml") == FOLDER / "svb.yaml"
    (tmp_path / "svb.yaml").touch()
    assert find_config("svb.yaml") == tmp_path / "svb.yaml"


@pytest.mark.parametrize("written", ["~/mine.yaml", "$HOME/mine.yaml"])
def test_a_path_is_expanded(written, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.yaml").touch()
    assert find_config(written) == tmp_path / "mine.yaml"


def test_a_misspelt_name_gets_the_nearest():
    with pytest.raises(FileNotFoundError, match=r"no config sbv.yaml .* did you mean svb.yaml\?"):
        find_config("sbv.yaml")
