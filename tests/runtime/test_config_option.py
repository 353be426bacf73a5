import pytest

from regularizer_collection.__main__ import main


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"model: [", "mine.yaml is not YAML: while parsing a flow"),
        (b"\xff\xfe\x00", "mine.yaml is not YAML: 'utf-8' codec can't decode"),
        (b"", "mine.yaml holds nothing; a config holds keys with values"),
        (b"- model", "mine.yaml holds a list; a config holds keys with values"),
    ],
    ids=["no YAML", "no text", "nothing", "a list"],
)
def test_a_file_that_is_no_config_is_named(content, message, tmp_path, capsys):
    (tmp_path / "mine.yaml").write_bytes(content)
    assert main(["fit", "--config", str(tmp_path / "mine.yaml")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
