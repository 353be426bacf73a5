from benchmarks.growth import report


def test_the_report_is_timed_over_copies_of_a_result_in_the_repository(capsys):
    report(6)()
    assert "Report over 6 runs" in capsys.readouterr().out
