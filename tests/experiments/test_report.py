import json
import re
from itertools import product

import pandas as pd
import pytest
import torch

from regularizer_collection.__main__ import main
from regularizer_collection.experiments.collect import load_results, tabulate
from regularizer_collection.experiments.marked_part import replace_part
from regularizer_collection.experiments.page import markdown_page
from regularizer_collection.experiments.report import write_report
from regularizer_collection.experiments.report_notes import reading_notes, what_was_run
from regularizer_collection.experiments.report_tables import report_tables
from regularizer_collection.experiments.run import PROJECT
from regularizer_collection.experiments.source_experiment import VARIANTS
from regularizer_collection.experiments.study import SEEDS
from regularizer_collection.experiments.summary import summary
from regularizer_collection.functional.packed_maps import encode_map
from tests.experiments.conftest import NUM_TRIPLETS, ZOOMS, leave_results, made_up


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    for variant in VARIANTS:
        for seed in SEEDS:
            leave_results(root, variant, seed)
    assert main(["report", str(root), "--out", str(root / "report")]) == 0
    return root / "report"


def test_every_variant_has_its_row_in_every_format(report):
    markdown, page = (report / "report.md").read_text(), (report / "index.html").read_text()
    table = pd.read_csv(report / "test_accuracy.csv", index_col=0)
    assert list(table.index) == list(VARIANTS)
    for variant in VARIANTS:
        assert table.loc[variant, "test accuracy"] in markdown
        assert table.loc[variant, "test accuracy"] in page
    names = {path.name for path in report.iterdir()}
    assert {"isotropic_total_variation.csv", "anisotropic_total_variation.csv"} <= names
    assert {"boundary_length.csv", "boundary_distance.csv", "class_maps_on_the_same_plane.png"} <= (
        names
    )


def test_the_source_stands_beside_ours_with_the_known_differences(report):
    markdown = (report / "report.md").read_text()
    assert "45.19 +/- 0.785" in markdown
    assert "50.208 +/- 0.278" in markdown
    assert "detached gradient" in markdown


def test_the_source_stands_beside_no_other_data(leave, tmp_path):
    leave("svb", 0, data={"name": "Own", "num_classes": 3})
    out = tmp_path / "report"
    assert main(["report", str(tmp_path), "--out", str(out)]) == 0
    for text in ((out / "report.md").read_text(), summary(load_results(tmp_path))):
        assert "Own, source protocol" in text
        assert "50.208" not in text
        assert "source:" not in text
        assert "source's" not in text


def test_the_page_needs_no_other_file(report):
    page = (report / "index.html").read_text()
    targets = re.findall(r"""(?:href|src)=["']([^"']{1,200})|url\(([^)]+)\)""", page)
    assert len(targets) > 100
    ids = set(re.findall(r"""id=["']([^"']+)["']""", page))
    for target in map("".join, targets):
        assert target.startswith("data:image/png;base64,") or target.removeprefix("#") in ids
    assert len(re.findall(r'<svg [^>]*aria-label="[^"]{20,}"', page)) == 9


def test_both_pages_open_with_the_answer_and_what_was_run_and_end_with_notes(report):
    for name, body in (("index.html", "<nav"), ("report.md", "## Test accuracy")):
        page = (report / name).read_text()
        answer = page.index("On these 25 networks, l2")
        run, notes = page.index("CIFAR100, source protocol, 50 epochs"), page.index("Notes")
        assert answer < run < page.index(body) < notes
        assert page.index("detached gradient") > page.rindex("50.208")


def test_the_opening_tells_which_networks_each_machine_trained(leave, tmp_path):
    for seed, device in enumerate(("cpu", "cpu", "NVIDIA H200")):
        path = leave("no_reg", seed)
        results = json.loads(path.read_text())
        results["facts"]["device"] = device
        path.write_text(json.dumps(results))
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "report")]) == 0
    expected = (
        "trained on nowhere, NVIDIA H200, torch 2.14.1 (no_reg: seed 2) and "
        "nowhere, torch 2.14.1 (no_reg: seeds 0, 1)."
    )
    assert expected in (tmp_path / "report/report.md").read_text()


def test_no_p_value_is_of_planes_and_every_table_says_its_unit_and_n(report):
    markdown = (report / "report.md").read_text()
    tables = dict(re.findall(r"\n## (.*)\n\n((?:\|.*\n)+)", markdown))
    with_p = [name for name, table in tables.items() if "p (Holm)" in table]
    assert with_p == ["Boundary density on planes between test images (1 / input unit)"]
    for name, table in tables.items():
        assert re.search(r"\(.+\)", name), f"{name} has no unit"
        assert "no_reg (n = 5)" in table or re.search(r"n = (25 n|5 v)|to no_reg", name), name
    assert "Every interval is over networks" in markdown


def test_robustness_and_calibration_have_tables_and_a_figure(report):
    names = {path.name for path in report.iterdir()}
    assert {"robustness.csv", "calibration.csv", "robustness.png"} <= names
    assert "what_boundary_measures_go_along_with_given_accuracy.csv" in names
    markdown = (report / "report.md").read_text()
    assert "PGD 1/255 (%) \N{PLUS-MINUS SIGN} 95 %" in markdown


def test_a_network_that_masks_its_gradients_is_named(leave, tmp_path):
    path = leave("no_reg", 0)
    results = json.loads(path.read_text())
    results["measurements"]["robustness"]["signs_of_gradient_masking"] = ["it rounds"]
    path.write_text(json.dumps(results))
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "report")]) == 0
    expected = "no_reg, seed 0: accuracies under attack are no measure of robustness, as it rounds."
    assert expected in (tmp_path / "report/report.md").read_text()


def test_runs_without_robustness_have_a_report_without(leave, tmp_path):
    path = leave("no_reg", 0)
    results = json.loads(path.read_text())
    del results["measurements"]["robustness"], results["measurements"]["calibration"]
    path.write_text(json.dumps(results))
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "report")]) == 0
    assert "obustness" not in (tmp_path / "report/report.md").read_text()


def test_each_table_counts_the_networks_that_it_is_of(leave, tmp_path):
    for variant, seed in product(("no_reg", "svb"), range(3)):
        path = leave(variant, seed)
        results = json.loads(path.read_text())
        if seed == 0:
            del results["measurements"]["robustness"]
        if seed < 2:
            del results["measurements"]["planes"]["segments"]
        path.write_text(json.dumps(results))
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "report")]) == 0
    markdown = (tmp_path / "report/report.md").read_text()
    tables = dict(re.findall(r"\n## (\w+).*\n\n((?:\|.*\n)+)", markdown))
    for title, number in {"Test": 3, "Robustness": 2, "Distance": 2, "Class": 1}.items():
        assert f"| svb (n = {number})" in tables[title], title
    (row,) = re.findall(r"\| svb .*", summary(load_results(tmp_path)))
    assert row.count("(2 seeds)") == 1


def test_what_the_maps_may_have_missed_is_told(report):
    assert "0.4 (data), 25 (zoom 0.01), 25 (zoom 0.025)" in (report / "report.md").read_text()


def test_one_seed_is_said_to_have_no_interval(leave, tmp_path):
    leave("svb", 0)
    leave("no_reg", 0)
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "report")]) == 0
    markdown = (tmp_path / "report/report.md").read_text()
    assert "(1 seed, no interval)" in markdown
    assert "has a mean and no interval" in markdown
    assert "+/- 0 " not in markdown


def without(*path):
    """Returns what removes a key of nested dictionaries."""

    def remove(results):
        *outer, key = path
        for name in outer:
            results = results[name]
        del results[key]

    return remove


def constant(results):
    results["measurements"]["planes"]["data"]["values"]["boundary_density"] = [0.0] * NUM_TRIPLETS


def coarser(results):
    maps = torch.zeros(NUM_TRIPLETS, 3, 3, dtype=torch.long)
    results["measurements"]["planes"]["data"] |= {"resolution": 3, "class_maps": encode_map(maps)}


@pytest.mark.parametrize("variants", [("svb",), ("svb", "no_reg")], ids=" ".join)
@pytest.mark.parametrize(
    "change",
    [
        constant,
        coarser,
        without("measurements", "spectra"),
        pytest.param(without("measurements", "planes", "random"), marks=pytest.mark.counted),
        without("measurements", "planes", "random", "zoom_levels", ZOOMS[1]),
        without("history", "test_curve/accuracy"),
    ],
    ids=["constant networks", "coarser", "no spectra", "no random planes", "a zoom less", "short"],
)
def test_what_can_be_drawn_of_a_mix_is_drawn(change, variants, leave, tmp_path):
    for variant, seed in product(("no_reg", "svb"), (0, 1)):
        path = leave(variant, seed)
        if variant in variants:
            results = json.loads(path.read_text())
            change(results)
            path.write_text(json.dumps(results))
    out = tmp_path / "report"
    readme = tmp_path / "readme.md"
    readme.write_text("<!-- report: begin -->\n<!-- report: end -->\n")
    mixed = ["report", str(tmp_path), "--out", str(out), "--allow_mixed", "true"]
    assert main([*mixed, "--readme", str(readme)]) == 0
    assert "svb (n = 2)" in (out / "index.html").read_text()
    assert "nan" not in readme.read_text()


def test_an_empty_folder_gets_one_line(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert "error: no results.json below" in capsys.readouterr().err


def test_paths_are_expanded(leave, tmp_path, monkeypatch):
    leave("no_reg", 0)
    monkeypatch.setenv("HOME", str(tmp_path))
    readme = tmp_path / "notes.md"
    readme.write_text("<!-- report: begin -->\n<!-- report: end -->\n")
    assert main(["report", "~", "--out", "$HOME/report", "--readme", "~/notes.md"]) == 0
    assert (tmp_path / "report/index.html").exists()
    assert "| no_reg |" in readme.read_text()


@pytest.mark.counted
def test_a_readme_without_markers_is_refused(leave, tmp_path):
    leave("svb", 0)
    readme, out = tmp_path / "notes.md", tmp_path / "report"
    readme.write_text("# Title\n")
    with pytest.raises(ValueError, match="the readme has no <!-- report: begin -->"):
        write_report(str(tmp_path), str(out), readme=str(readme))
    assert not out.exists()


@pytest.mark.counted
@pytest.mark.parametrize("study", sorted(p.name for p in (PROJECT / "results").glob("*_epochs")))
def test_the_readme_shows_the_results_in_the_repository(study):
    readme = (PROJECT / "README.md").read_text()
    table = summary(load_results(PROJECT / "results" / study))
    assert replace_part(readme, study, table) == readme


def test_another_baseline_is_what_all_tables_compare_with(leave, tmp_path, capsys):
    for variant in ("l2", "svb"):
        for seed in (0, 1):
            leave(variant, seed)
    out = tmp_path / "report"
    assert main(["report", str(tmp_path), "--out", str(out), "--baseline", "l2"]) == 0
    assert "as dense as l2's (" in capsys.readouterr().out
    density = pd.read_csv(out / "boundary_density_on_planes_between_test_images.csv", index_col=0)
    assert density["ratio"].isna().tolist() == [True, False]
    assert pd.read_csv(out / "test_accuracy.csv", index_col=0)["difference"].notna().sum() == 1
    assert list(
        pd.read_csv(out / "distance_of_right_images_from_another_class.csv", index_col=0).index
    ) == ["svb"]
    assert "no_reg" not in (out / "index.html").read_text()


def test_without_the_usual_baseline_the_report_says_how_to_name_another(leave, tmp_path, capsys):
    leave("svb", 0)
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "report")]) == 0
    assert "--baseline names another one to compare with" in capsys.readouterr().out


@pytest.mark.counted
def test_a_baseline_that_is_not_there_is_refused(leave, tmp_path, capsys):
    leave("svb", 0)
    assert main(["report", str(tmp_path), "--baseline", "l1"]) == 2
    assert "baseline is 'l1'; give one of svb" in capsys.readouterr().err


def test_accuracy_on_held_out_images_has_a_column_and_chooses(leave, tmp_path):
    for variant, accuracies in {"no_reg": (0.3, 0.4), "svb": (0.2, 0.6)}.items():
        for seed, accuracy in enumerate(accuracies):
            history = {"val/accuracy": [[10, 0.9], [20, accuracy]]}
            leave(variant, seed, history=history)
    out = tmp_path / "report"
    assert main(["report", str(tmp_path), "--out", str(out)]) == 0
    table = pd.read_csv(out / "test_accuracy.csv", index_col=0)["validation accuracy"]
    assert [text.split(" +/- ")[0] for text in table] == ["35", "40"]
    assert "svb (40.00 %)" in (out / "report.md").read_text()


def test_the_choice_counts_networks_and_not_their_planes(leave, tmp_path):
    for variant, accuracies in {"no_reg": (0.45, 0.45), "svb": (0.2, 0.6)}.items():
        for seed, accuracy in enumerate(accuracies):
            history = {"val/accuracy": [[20, accuracy]]}
            leave(variant, seed, num_planes=6 if seed == 0 else 60, history=history)
    assert main(["report", str(tmp_path), "--allow_mixed", "true", "--out", str(tmp_path)]) == 0
    assert "no_reg (45.00 %)" in (tmp_path / "report.md").read_text()


def test_nothing_is_chosen_unless_all_networks_are_known(leave, tmp_path):
    for variant, accuracies in {"no_reg": (0.45, 0.45), "svb": (0.6, None)}.items():
        for seed, accuracy in enumerate(accuracies):
            history = {} if accuracy is None else {"val/accuracy": [[20, accuracy]]}
            leave(variant, seed, history=history)
    assert main(["report", str(tmp_path), "--out", str(tmp_path)]) == 0
    assert "Chosen by" not in (tmp_path / "report.md").read_text()


def test_variants_that_are_chosen_alike_are_all_named(leave, tmp_path):
    for variant, accuracy in {"jacobi": 0.3, "no_reg": 0.45, "svb": 0.45}.items():
        leave(variant, 0, history={"val/accuracy": [[20, accuracy]]})
    assert main(["report", str(tmp_path), "--out", str(tmp_path)]) == 0
    assert "no_reg and svb (45.00 %)" in (tmp_path / "report.md").read_text()


WAY = {
    "test_curve/accuracy": [[10, 0.41], [20, 0.47]],
    "test_curve/boundary_density/data": [[10, 1.0], [20, 2.0]],
}


def test_a_report_says_which_networks_have_no_equal_accuracy(leave, tmp_path):
    accuracies = {("no_reg", 0): 0.47, ("no_reg", 1): 0.46, ("l2", 0): 0.5, ("svb", 0): 0.45}
    for (variant, seed), accuracy in accuracies.items():
        history = WAY if (variant, seed) == ("no_reg", 0) else {}
        leave(variant, seed, history=history, test={"accuracy": accuracy, "loss": 2.0})
    assert main(["report", str(tmp_path), "--out", str(tmp_path)]) == 0
    said = (tmp_path / "report.md").read_text()
    assert "with the epochs of 1 of 2 networks of no_reg. Left out, as their" in said
    assert "beyond those of these epochs: l2: seed 0." in said


def test_epochs_whose_accuracy_is_of_images_held_out_are_told(leave, tmp_path):
    history = WAY | {"val/accuracy": WAY["test_curve/accuracy"]}
    del history["test_curve/accuracy"]
    for variant in ("no_reg", "svb"):
        leave(variant, 0, history=history)
    assert main(["report", str(tmp_path), "--out", str(tmp_path)]) == 0
    said = (tmp_path / "report.md").read_text()
    assert "no test accuracy, as data.val_size holds images out; nothing is compared" in said


def test_an_adversarial_plane_that_was_not_found_has_no_density(leave, tmp_path):
    for variant, distances in {"no_reg": [0.5, 0.5], "svb": [0.5, None]}.items():
        path = leave(variant, 0)
        run = json.loads(path.read_text())
        densities = [0.05 if distance else 0.0 for distance in distances]
        run["measurements"]["planes"]["adversarial"] = {
            "seed": 0,
            "resolution": 5,
            "missing_planes": 0,
            "image_indices": [0, 1],
            "values": {"boundary_density": densities, "distance": distances},
        }
        path.write_text(json.dumps(run))
    assert main(["report", str(tmp_path), "--out", str(tmp_path)]) == 0
    name = "boundary_density_on_adversarial_planes.csv"
    table = pd.read_csv(tmp_path / name, index_col=0)
    assert table["mean"].tolist() == pytest.approx([0.05, 0.05])
    assert table["not_reached"].tolist() == [0, 0.5]


def test_nothing_is_chosen_where_nothing_was_held_out(report):
    assert "held-out" not in (report / "report.md").read_text()


def test_csv_files_have_one_header_and_the_number_of_networks(report):
    for name in ("robustness", "calibration", "boundary_length", "test_accuracy"):
        table = pd.read_csv(report / f"{name}.csv", index_col=0)
        assert table["networks"].tolist() == [5] * 5
        numbers = table.select_dtypes("number").columns
        assert len(numbers) >= 3, name
    table = pd.read_csv(report / "boundary_length.csv", index_col=0)
    assert {"zoom 0.025 mean", "zoom 0.025 conf_interval"} <= set(table)


def test_planes_of_ones_own_are_told():
    results = [made_up("no_reg", 0)]
    planes = results[0]["measurements"]["planes"]
    planes["mine"] = planes["segments"]
    assert "2 mine planes" in what_was_run(results)


@pytest.mark.parametrize(("protocol", "is_told"), [("source", False), ("stable", True)])
def test_that_the_source_clipped_nothing_is_told_where_we_did(protocol, is_told):
    results = [made_up("no_reg", 0, protocol=protocol)]
    notes = reading_notes(tabulate(results), results, "no_reg")
    assert any("The source clipped no gradients" in note for note in notes) == is_told


def test_a_name_with_a_bar_ends_no_cell():
    results = [made_up(variant, seed) for variant in ("a|b", "svb") for seed in range(2)]
    pages = [
        markdown_page({"T": table.shown()}, [], [])
        for table in report_tables(tabulate(results), results, "a|b").values()
    ]
    for page in [*pages, summary(results, baseline="a|b")]:
        lines = [line for line in page.split("\n") if line.startswith("|")]
        assert len({line.replace("\\|", "").count("|") for line in lines}) == 1


def test_the_source_stands_beside_no_superclasses(leave, tmp_path):
    leave("svb", 0, data={"name": "CIFAR100DataModule", "num_classes": 20})
    assert "50.208" not in summary(load_results(tmp_path))


def test_what_is_not_known_of_a_network_has_no_mean_of_the_others(leave, tmp_path):
    for seed in range(3):
        path = leave("svb", seed)
        results = json.loads(path.read_text())
        if seed == 1:
            results["measurements"]["robustness"]["flatness"] = None
            del results["measurements"]["robustness"]["accuracy"]["pgd"]["1_255"]
        path.write_text(json.dumps(results))
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "report")]) == 0
    table = pd.read_csv(tmp_path / "report/robustness.csv", index_col=0)
    assert table["flatness mean"].isna().all()
    assert "nan" not in summary(load_results(tmp_path))


def test_a_part_without_a_readme_is_refused(leave, tmp_path, capsys):
    leave("svb", 0)
    assert main(["report", str(tmp_path), "--part", "mine", "--out", str(tmp_path / "out")]) == 2
    assert "part is 'mine', and there is no readme; give --readme" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_columns_of_the_summary_tell_of_how_few_networks_they_are(leave, tmp_path):
    for variant, seed in product(("no_reg", "svb"), range(4)):
        path = leave(variant, seed)
        results = json.loads(path.read_text())
        if seed == 0 and variant == "svb":
            del results["measurements"]["planes"]["data"]
        if seed < 2 and variant == "no_reg":
            del results["measurements"]["planes"]["random"]
        if seed < 3 and variant == "no_reg":
            del results["measurements"]["planes"]["data"]
        path.write_text(json.dumps(results))
    rows = dict(re.findall(r"\| (no_reg|svb) +\|(.*)", summary(load_results(tmp_path))))
    assert re.search(r"\d \(3 seeds\)", rows["svb"])
    assert rows["svb"].count("seeds)") == 1
    assert len(re.findall(r"\+/- \d+ \(2 seeds\)", rows["no_reg"])) == len(ZOOMS)
    assert rows["no_reg"].count("| (1 seed)") == 1  # with which the densities are compared


def test_a_report_holds_no_files_of_the_one_before(leave, tmp_path):
    path, out = leave("svb", 0), tmp_path / "report"
    assert main(["report", str(tmp_path), "--out", str(out)]) == 0
    assert (out / "robustness.csv").exists()
    (out / "own.csv").write_text("a user's")
    results = json.loads(path.read_text())
    del results["measurements"]["robustness"]
    path.write_text(json.dumps(results))
    assert main(["report", str(tmp_path), "--out", str(out)]) == 0
    assert not (out / "robustness.csv").exists()
    assert not (out / "robustness.png").exists()
    assert (out / "own.csv").exists()
    assert (out / "test_accuracy.csv").exists()


def test_what_differs_in_how_networks_were_made_is_told(leave, tmp_path):
    for seed, commit in enumerate(("a1", "a1", "b2+")):
        path = leave("svb", seed)
        results = json.loads(path.read_text())
        results["facts"] |= {"commit": commit}
        if seed:  # what is not recorded may be no other
            results["facts"] |= {"precision": "32-true"}
        path.write_text(json.dumps(results))
    results = load_results(tmp_path)
    notes = reading_notes(tabulate(results), results, "no_reg")
    assert "Networks differ in commit: a1 (svb: seeds 0, 1); b2+ (svb: seed 2)." in notes
    assert not any("precision" in note for note in notes)
