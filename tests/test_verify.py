"""verify passes on what a run wrote, and names what was changed by hand."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from nnexp import load_results
from nnexp.cli import main
from nnexp.experiment.results import hash_of
from nnexp.report import write_report
from nnexp.verify import verify

EXAMPLE = Path(__file__).parents[1] / "results" / "example"
FILE = """
question = "Does width help?"
seed = 3
[evaluation]
folds = 5
repeats = 2
[data.iris]
[data.diabetes]
[model.narrow]
hidden_layer_sizes = [2]
max_iter = 8
[model.wide]
hidden_layer_sizes = [12]
max_iter = 8
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verify")
    (folder / "widths.toml").write_text(FILE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nnexp.report.page.figures_of", lambda results, comparison: {})
        assert main(["run", str(folder / "widths.toml"), "--results", str(folder), "--jobs", "1"]) == 0
    return folder / "widths"


@pytest.fixture
def folder(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "widths"))


def differs(folder, **settings):
    return [finding.text for finding in verify(folder, **settings) if finding.status == "differs"]


def with_new_hashes(folder):
    """Record the hashes anew, as somebody would who covers a change up."""
    path = folder / "environment.json"
    environment = json.loads(path.read_text())
    environment["files"] = {name: hash_of(folder / name) for name in environment["files"]}
    path.write_text(json.dumps(environment, indent=2) + "\n")


def edit(path, old, new):
    text = path.read_text()
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new, 1))


@pytest.mark.figures
def test_the_committed_example_is_what_its_tables_say():
    found = list(verify(EXAMPLE))
    assert [finding.text for finding in found if finding.status != "ok"] == []
    assert len(found) >= 5


def test_fresh_results_pass_and_runs_repeat_to_the_bit(folder, capsys):
    assert main(["verify", str(folder), "--rerun", "3"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "3 runs were done again from scratch: equal to the last bit." in out
    assert "Nothing differs." in out


def test_an_edited_cell_is_caught_and_named(folder, capsys):
    runs = pd.read_csv(folder / "runs.csv", dtype=str)
    before = runs.loc[2, "accuracy"]
    edit(folder / "runs.csv", f",{before},", ",0.999,")
    write_report(load_results(folder))  # a report of the edited table does not hide it
    texts = differs(folder)
    assert any(text.startswith("runs.csv is not what the run wrote") for text in texts)
    assert any(re.search(r"runs.csv, line \d+: accuracy of .* is '0.999'; the journal has", text) for text in texts)
    assert main(["verify", str(folder)]) == 1
    assert "differs" in capsys.readouterr().out


def test_an_edited_cell_without_the_journal_is_placed_by_data_set_and_model(folder):
    (folder / "journal.jsonl").unlink()
    runs = pd.read_csv(folder / "runs.csv", dtype=str)
    row = runs[(runs["data"] == "diabetes") & (runs["model"] == "wide")].iloc[0]
    edit(folder / "runs.csv", f",{row['r2']},", ",0.9,")
    assert "runs.csv: changed are rows of diabetes / wide." in differs(folder)


def test_an_edited_cell_with_new_hashes_is_caught_by_doing_runs_again(folder):
    (folder / "journal.jsonl").unlink()
    runs = pd.read_csv(folder / "runs.csv", dtype=str)
    row = runs[(runs["data"] == "diabetes") & (runs["model"] == "wide")].iloc[0]
    edit(folder / "runs.csv", f",{row['r2']},", ",0.9,")
    with_new_hashes(folder)
    write_report(load_results(folder))
    texts = differs(folder, rerun=20)  # the record of the rows' places is still the old one, and leads there first
    assert any(text.startswith("Done again: r2 of wide on diabetes") and "is 0.9" in text for text in texts)


@pytest.mark.parametrize("name", ["report.html", "report.md"])
def test_an_edited_claim_is_caught_and_named(folder, name):
    said = "even a clean sweep is p = 0.5"
    edit(folder / name, said, "a clean sweep is proof")
    texts = differs(folder)
    assert any(text.startswith(name) and "a clean sweep is proof" in text for text in texts)
    if name == "report.html":
        assert any("claim A1 says" in text and said in text for text in texts)


def test_an_edited_number_of_a_table_in_the_report_is_caught(folder):
    page = (folder / "report.html").read_text()
    cell = re.search(r"<td>(0\.\d{3} ± 0\.\d{3})</td>", page)[1]
    edit(folder / "report.html", f"<td>{cell}</td>", "<td>0.999 ± 0.001</td>")
    assert any("0.999 ± 0.001" in text and "Leaderboard" in text for text in differs(folder))


def test_a_swapped_file_is_caught(folder):
    curves, times = (folder / "curves.csv").read_bytes(), (folder / "times.csv").read_bytes()
    rows = times.decode().splitlines()
    (folder / "times.csv").write_text("\n".join([rows[0], *rows[:0:-1]]) + "\n")
    assert "times.csv is not what the run wrote: its SHA-256 differs from the one in environment.json." in differs(
        folder
    )
    (folder / "times.csv").write_bytes(times)
    (folder / "curves.csv").write_bytes(curves.replace(b",1,", b",2,", 1))
    assert any(text.startswith("curves.csv is not what") for text in differs(folder))
    (folder / "curves.csv").write_bytes(curves)
    (folder / "confusion.csv").unlink()
    assert "confusion.csv is missing; environment.json records it." in differs(folder)


def test_a_file_that_was_added_is_caught(folder):
    (folder / "tuned.csv").write_text("data,model\n")
    assert "tuned.csv is not recorded in environment.json." in differs(folder)


def test_a_different_seed_is_caught(folder):
    edit(folder / "experiment.json", '"seed": 3', '"seed": 4')
    texts = differs(folder)
    assert any(text.startswith("experiment.json is not what the run wrote") for text in texts)
    assert any(re.match(r"runs.csv: seed of .* is \d+; experiment.json leads to \d+", text) for text in texts)


def test_a_different_seed_with_new_hashes_is_caught(folder):
    edit(folder / "experiment.json", '"seed": 3', '"seed": 4')
    with_new_hashes(folder)
    write_report(load_results(folder))
    assert any("experiment.json leads to" in text for text in differs(folder))


def test_rows_that_were_dropped_or_doubled_are_caught(folder):
    lines = (folder / "runs.csv").read_text().splitlines(keepends=True)
    (folder / "runs.csv").write_text("".join([*lines, lines[1]]))
    assert any("runs stand there more than once" in text for text in differs(folder))
    (folder / "runs.csv").write_text("".join(lines[:-1]))
    assert any(text.startswith("runs.csv is not what") for text in differs(folder))


def test_other_data_under_the_name_is_caught(folder):
    path = folder / "environment.json"
    environment = json.loads(path.read_text())
    environment["data"]["iris"]["fingerprint"] = "0" * 16
    path.write_text(json.dumps(environment))
    assert any("The data set iris is not the one that was used" in text for text in differs(folder))


def test_results_without_hashes_are_said_to_be_unknown(folder):
    path = folder / "environment.json"
    environment = json.loads(path.read_text())
    del environment["files"]
    path.write_text(json.dumps(environment))
    assert any(f.status == "unknown" and "records no hashes" in f.text for f in verify(folder))


def test_what_is_no_results_folder_is_a_sentence(tmp_path, capsys):
    assert main(["verify", str(tmp_path / "none")]) != 0
    assert "holds no results" in capsys.readouterr().err


def test_a_claim_leads_to_its_test_and_its_rows(folder, capsys):
    assert main(["report", str(folder), "--claim", "D1"]) == 0
    out = capsys.readouterr().out
    assert "D1" in out
    assert "Nadeau and Bengio" in " ".join(out.split())
    assert "iris" in out
    assert main(["report", str(folder), "--claim", "Z9"]) != 0
    assert "Z9" in capsys.readouterr().err
