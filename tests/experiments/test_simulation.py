import pandas as pd
import pytest

from regularizer_collection.experiments import simulation


@pytest.fixture(scope="module")
def table():
    return simulation.simulate(times=60)


def test_every_spread_of_networks_and_planes_has_its_row(table):
    spreads = list(zip(table["network SD"], table["plane SD"], strict=True))
    assert spreads == [(n, p) for n in simulation.NETWORK_SDS for p in simulation.PLANE_SDS]


def test_tests_over_networks_are_right_where_those_over_planes_are_not(table):
    """540 studies: 5 % have a standard error of 0.9 points."""
    for name in ("Satterthwaite", "Welch"):
        assert 0.01 < table[f"{name}, false alarms"].mean() < 0.09
    assert table["pairs of planes of one network, false alarms"].mean() > 0.3


def test_what_is_there_is_seen_the_better_the_less_networks_differ(table):
    power = table.groupby("network SD")["Satterthwaite, power"].mean()
    assert power[0.05] > power[0.2] > power[0.5]
    assert power[0.05] > 0.95


def test_the_command_writes_the_table(tmp_path, monkeypatch, capsys):
    path = tmp_path / "table.csv"
    monkeypatch.setattr("sys.argv", ["simulation", "--times", "2", "--out", str(path)])
    simulation.main()
    assert len(pd.read_csv(path)) == 9
    assert "network SD" in capsys.readouterr().out
