"""verify passes on what a run wrote, and names what was changed by hand."""

import contextlib
import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import nnexp.verify
from nnexp import load_results
from nnexp._identity import libraries
from nnexp.cli import main
from nnexp.experiment import DataError, ResultsError, load_specification, run_experiment
from nnexp.experiment.results import hash_of
from nnexp.experiment.schema import TABLES
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
validation = "none"
[model.wide]
hidden_layer_sizes = [12]
max_iter = 8
validation = "none"
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


SAME, DIFFERENT, NOT_CHECKED = 0, 1, 3


def outcome(folder, **settings):
    statuses = {finding.status for finding in verify(folder, **settings)}
    return DIFFERENT if "differs" in statuses else NOT_CHECKED if "unknown" in statuses else SAME


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


@pytest.mark.slow
@pytest.mark.figures
def test_the_committed_example_is_what_its_tables_say():
    found = list(verify(EXAMPLE))
    assert [finding.text for finding in found if finding.status != "ok"] == []
    assert len(found) >= 5


def test_fresh_results_pass_and_runs_repeat_to_the_bit(folder, capsys):
    assert main(["verify", str(folder), "--rerun", "3"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "3 of 40 runs were done again from scratch: equal to the last bit." in out
    assert "Same: tables, report, plan and data follow from the journal. 3 runs were done again" in out


def test_an_edited_cell_is_caught_and_named(folder, capsys):
    runs = pd.read_csv(folder / "runs.csv", dtype=str)
    before = runs.loc[2, "accuracy"]
    edit(folder / "runs.csv", f",{before},", ",0.999,")
    write_report(load_results(folder))  # a report of the edited table does not hide it
    texts = differs(folder)
    assert any(text.startswith("runs.csv is not what the run wrote") for text in texts)
    assert any(re.search(r"runs.csv, line \d+: accuracy of .* is '0.999'; the journal has", text) for text in texts)
    assert not any("more cells differ so" in text for text in texts)
    assert main(["verify", str(folder)]) == 1
    assert "differs" in capsys.readouterr().out


@pytest.mark.slow
def test_an_edited_cell_without_the_journal_is_placed_by_data_set_and_model(folder):
    (folder / "journal.jsonl").unlink()
    runs = pd.read_csv(folder / "runs.csv", dtype=str)
    row = runs[(runs["data"] == "diabetes") & (runs["model"] == "wide")].iloc[0]
    edit(folder / "runs.csv", f",{row['r2']},", ",0.9,")
    assert "runs.csv: changed are rows of diabetes / wide." in differs(folder)


@pytest.mark.slow
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


@pytest.mark.slow
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
    assert any(re.match(r"runs.csv lacks .*, which the journal has", text) for text in differs(folder))


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


def changed(name, change, covered=True):
    """Return a tampering of a JSON file, with hashes and a report that go with it."""

    def tamper(folder):
        content = json.loads((folder / name).read_text())
        change(content)
        (folder / name).write_text(json.dumps(content, indent=2) + "\n")
        if covered:
            cover(folder)

    return tamper


def cover(folder):
    if "files" in json.loads((folder / "environment.json").read_text()):
        with_new_hashes(folder)
    write_report(load_results(folder))


def cell(name, column, value, covered=True):
    """Return a tampering of the first cell of a column that holds something else."""

    def tamper(folder):
        table = pd.read_csv(folder / name, dtype=str, keep_default_na=False)
        row = table.index[(table[column] != "") & (table[column] != value)][0]
        table.loc[row, column] = value
        table.to_csv(folder / name, index=False, lineterminator="\n")
        if covered:
            cover(folder)

    return tamper


def rows(change, name="runs.csv"):
    def tamper(folder):
        lines = (folder / name).read_text().splitlines(keepends=True)
        (folder / name).write_text("".join(change(lines)))
        with_new_hashes(folder)
        with contextlib.suppress(ResultsError):  # which shows at once
            write_report(load_results(folder))

    return tamper


def journal(change):
    def tamper(folder):
        lines = (folder / "journal.jsonl").read_text().splitlines(keepends=True)
        (folder / "journal.jsonl").write_text("".join(change(lines)))

    return tamper


def with_score(line, value=0.999):
    record = json.loads(line)
    record["row"]["accuracy"] = value
    return json.dumps(record) + "\n"


def first_of_iris(lines):
    return next(i for i, line in enumerate(lines) if '"data": "iris"' in line and '"row"' in line)


def forged_whole(folder):
    """A score in the journal, and everything else made from it by nnexp itself."""
    (folder.parent / "widths.toml").write_text(FILE)
    lines = (folder / "journal.jsonl").read_text().splitlines(keepends=True)
    lines[first_of_iris(lines)] = with_score(lines[first_of_iris(lines)])
    (folder / "journal.jsonl").write_text("".join(lines))
    arguments = ["run", str(folder.parent / "widths.toml"), "--results", str(folder.parent), "--jobs", "1"]
    assert main(arguments) == 0
    assert "0.999" in (folder / "runs.csv").read_text()


def without(*names):
    def tamper(folder):
        for name in names:
            (folder / name).unlink()

    return tamper


def both(*tampers):
    def tamper(folder):
        for one in tampers:
            one(folder)

    return tamper


def in_a_figure(element):
    def tamper(folder):
        edit(folder / "report.html", "<h1", f"<svg><g>{element}</g></svg><h1")

    return tamper


def planted_sweep(folder):
    tuned = {
        "data": "iris",
        "model": "wide",
        "repeat": 0,
        "fold": 0,
        "trials": 500,
        "complete": 500,
        "pruned": 0,
        "failed": 0,
    }
    tuned |= {"best": 1, "inner_score": 0.99, "objective": "accuracy", "parameters": "{}", "tuning_evaluations": 1}
    pd.DataFrame([tuned]).reindex(columns=list(TABLES["tuned"])).to_csv(folder / "tuned.csv", index=False)
    path = folder / "environment.json"
    environment = json.loads(path.read_text())
    environment["files"]["tuned.csv"] = hash_of(folder / "tuned.csv")
    path.write_text(json.dumps(environment, indent=2) + "\n")


JOINED = {"name": "a", "command": "c", "files": {}}
TAMPERINGS = {
    "nothing": (lambda folder: None, SAME),
    # Values
    "a score": (cell("runs.csv", "accuracy", "0.999", covered=False), DIFFERENT),
    "a score, covered": (cell("runs.csv", "accuracy", "0.999"), DIFFERENT),
    "a score of another place": (cell("runs.csv", "neg_log_loss", "-0.1"), DIFFERENT),
    "the cost": (cell("runs.csv", "evaluations", "7"), DIFFERENT),
    "the seconds": (cell("times.csv", "fit_seconds", "0.001"), DIFFERENT),
    "a warning": (cell("runs.csv", "stop_reason", "It converged."), DIFFERENT),
    "the seed of a row": (cell("runs.csv", "seed", "1"), DIFFERENT),
    "a point of a curve": (cell("curves.csv", "error", "0.01"), DIFFERENT),
    "a residual": (cell("residuals.csv", "prediction", "1.5"), DIFFERENT),
    "a count": (cell("confusion.csv", "count", "77"), DIFFERENT),
    # Rows
    "a row dropped": (rows(lambda lines: lines[:-1]), DIFFERENT),
    "a row twice": (rows(lambda lines: [*lines, lines[1]]), DIFFERENT),
    "rows in another order": (rows(lambda lines: [lines[0], *lines[:0:-1]]), DIFFERENT),
    "a row of a model that is none": (rows(lambda lines: [*lines, lines[1].replace("narrow", "other")]), DIFFERENT),
    "a table but for its head": (rows(lambda lines: lines[:1], "curves.csv"), DIFFERENT),
    # Hashes
    "the hashes": (changed("environment.json", lambda content: content.pop("files")), NOT_CHECKED),
    "the hashes, which the report shows": (
        changed("environment.json", lambda content: content.pop("files"), covered=False), DIFFERENT,
    ),
    "a hash": (
        changed("environment.json", lambda content: content["files"].update({"runs.csv": "0" * 64}), covered=False), DIFFERENT,
    ),
    "a score and the hashes": (
        both(cell("runs.csv", "accuracy", "0.999"), changed("environment.json", lambda content: content.pop("files"))), DIFFERENT,
    ),
    # The journal
    "the journal": (without("journal.jsonl"), NOT_CHECKED),
    "a score in the journal": (
        journal(lambda lines: [*lines[: first_of_iris(lines)], with_score(lines[first_of_iris(lines)]), *lines[first_of_iris(lines) + 1 :]]),
        DIFFERENT,
    ),
    "a line of the journal": (journal(lambda lines: lines[:-1]), DIFFERENT),
    "a damaged line of the journal": (journal(lambda lines: [*lines, "{}\n"]), DIFFERENT),
    "a second record of a run": (journal(lambda lines: [*lines, with_score(lines[first_of_iris(lines)])]), DIFFERENT),
    "what the journal notes of the file": (
        journal(lambda lines: [line for line in lines if '"declared"' not in line]), NOT_CHECKED,
    ),
    "a whole that agrees with itself": (forged_whole, SAME),
    # Settings
    "what counts as equal": (
        changed("experiment.json", lambda content: content["evaluation"].update(equivalence=0.5)), DIFFERENT,
    ),
    "the score that decides": (
        changed("experiment.json", lambda content: content["evaluation"]["metrics"]["classification"].reverse()), DIFFERENT,
    ),
    "the seed": (changed("experiment.json", lambda content: content.update(seed=4)), DIFFERENT),
    "the question": (changed("experiment.json", lambda content: content.update(question="Is wide better?")), DIFFERENT),
    "a parameter": (
        changed("experiment.json", lambda content: content["model"]["wide"].update(hidden_layer_sizes=[13])), DIFFERENT,
    ),
    "a model": (changed("experiment.json", lambda content: content["model"].pop("narrow"), covered=False), DIFFERENT),
    # The environment
    "a version": (changed("environment.json", lambda content: content["versions"].update(numpy="1.0")), DIFFERENT),
    "the version of what draws": (
        changed("environment.json", lambda content: content["versions"].update(matplotlib="1.0")), DIFFERENT,
    ),
    "the command": (changed("environment.json", lambda content: content.update(command="nnexp run other.toml")), DIFFERENT),
    "the runs that were planned": (changed("environment.json", lambda content: content.update(planned_runs=400)), DIFFERENT),
    "the data": (
        changed("environment.json", lambda content: content["data"]["iris"].update(fingerprint="0" * 16)), DIFFERENT,
    ),
    # Joins
    "called a joined one": (changed("environment.json", lambda content: content.update(joined=[JOINED])), DIFFERENT),
    "called a joined one, without its journal": (
        both(without("journal.jsonl"), changed("environment.json", lambda content: content.update(joined=[JOINED]))), NOT_CHECKED,
    ),
    # Figures and the report
    "a script in a figure": (in_a_figure("<script>1</script>"), DIFFERENT),
    "the page": (without("report.html"), NOT_CHECKED),
    "its twin": (without("report.md"), NOT_CHECKED),
    "a sentence": (lambda folder: edit(folder / "report.md", "even a clean sweep", "even so a clean sweep"), DIFFERENT),
    "parts of the hashes": (changed("environment.json", lambda content: content.update(blocks={"x": "y"})), DIFFERENT),
    "tables of a sweep that is none": (planted_sweep, DIFFERENT),
    # Deletions
    "the curves": (without("curves.csv"), DIFFERENT),
    "the confusions": (without("confusion.csv"), DIFFERENT),
    "the confusions, covered": (both(without("confusion.csv"), cell("runs.csv", "accuracy", "0.5", covered=False)), DIFFERENT),
}  # fmt: skip


OF_EACH_KIND = {
    "nothing", "a score, covered", "a row dropped", "a score and the hashes", "a score in the journal", "the seed", "a version",
    "a script in a figure", "the page", "the curves",
}  # fmt: skip
assert TAMPERINGS.keys() >= OF_EACH_KIND


@pytest.mark.parametrize(
    ("tamper", "expected"),
    [
        pytest.param(*both_of, id=name, marks=() if name in OF_EACH_KIND else pytest.mark.slow)
        for name, both_of in TAMPERINGS.items()
    ],
)
def test_each_tampering_has_its_outcome(folder, tamper, expected):
    tamper(folder)
    assert outcome(folder) == expected


@pytest.mark.slow
def test_a_forgery_that_agrees_with_itself_shows_where_all_runs_are_done_again(folder, capsys):
    forged_whole(folder)
    capsys.readouterr()
    assert main(["verify", str(folder)]) == 0
    assert "shows only with --rerun all" in " ".join(capsys.readouterr().out.split())
    assert main(["verify", str(folder), "--rerun", "all"]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "Done again: accuracy of" in out
    assert "Different: 1 difference." in out


def test_what_was_not_checked_is_a_table_with_its_reasons(folder, capsys):
    (folder / "journal.jsonl").unlink()
    (folder / "report.md").unlink()
    assert main(["verify", str(folder)]) == 3
    out = capsys.readouterr().out
    assert re.search(r"tables against the journal +There is no journal.jsonl", out)
    assert re.search(r"report.md +report.md is not there", out)
    assert "Not checked: 2 things. Nothing that was checked differs." in out


@pytest.mark.slow
def test_a_plan_that_cannot_be_made_is_not_checked(folder, monkeypatch, capsys):
    def fail(specification):
        raise DataError("data.iris: the file is not here.")

    monkeypatch.setattr("nnexp.verify.load_data", fail)
    assert main(["verify", str(folder), "--rerun", "2"]) == 3
    out = " ".join(capsys.readouterr().out.split())
    assert "The runs cannot be planned again: data.iris: the file is not here." in out
    assert "No run can be done again." in out
    assert "40 rows of runs.csv are what the journal has." in out
    cell("runs.csv", "accuracy", "0.999")(folder)
    assert any("accuracy of narrow on iris" in text and "is '0.999'" in text for text in differs(folder))


@pytest.mark.parametrize(
    ("element", "said"),
    [
        ("<script>alert(1)</script>", "an element <script>"),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in (
                ("<foreignObject><p>0.99</p></foreignObject>", "an element <foreignObject>"),
                ('<path d="M 0 0" onclick="alert(1)"/>', "an attribute onclick"),
                ('<image href="https://example.org/a.png"/>', "a link to 'https://example.org/a.png'"),
                ('<use xlink:href="http://example.org/a.svg"/>', "a link to 'http://example.org/a.svg'"),
            )
        ),
    ],
)
def test_what_no_figure_has_is_found_also_where_another_matplotlib_draws(folder, monkeypatch, element, said):
    """Then drawings are not compared; what runs or loads something is no drawing."""
    installed = nnexp.verify._installed
    monkeypatch.setattr("nnexp.verify._installed", lambda name: "0.1" if name == "matplotlib" else installed(name))
    assert outcome(folder) == SAME  # it has no figure
    in_a_figure('<path d="M 0 0"/>')(folder)
    assert [f.what for f in verify(folder) if f.status == "unknown"] == ["figures of report.html"]
    in_a_figure(element)(folder)
    assert any(f"a figure has {said}, which no figure of nnexp has" in text for text in differs(folder))


def test_results_of_other_versions_follow_from_their_journal_all_the_same(folder, monkeypatch):
    monkeypatch.setattr("nnexp.experiment.runs.libraries", lambda: {**libraries(), "numpy": "1.99.0"})
    assert outcome(folder) == SAME


@pytest.mark.slow
@pytest.mark.parametrize("answer", ["redo", "keep"])
def test_a_folder_that_two_versions_have_written_is_the_same_for_both(folder, monkeypatch, answer):
    """The tables are those of the version that wrote last, whichever looks."""
    (folder.parent / "widths.toml").write_text(FILE)
    specification = load_specification(folder.parent / "widths.toml")
    with monkeypatch.context() as other:
        other.setattr("nnexp.experiment.runs.libraries", lambda: {**libraries(), "numpy": "1.99.0"})
        run_experiment(specification, folder.parent, other_versions=answer)
        write_report(load_results(folder))
        assert outcome(folder) == SAME
    assert outcome(folder) == SAME
    run_experiment(specification, folder.parent)  # the first version again, whose runs are still known
    write_report(load_results(folder))
    assert outcome(folder) == SAME


@pytest.mark.slow
def test_runs_done_again_are_counted_as_they_are(folder, capsys):
    assert main(["verify", str(folder), "--rerun", "50"]) == 0
    assert "40 runs were done again;" in " ".join(capsys.readouterr().out.split())


def test_a_parameter_that_is_no_number_is_the_same_as_itself():
    assert list(nnexp.verify._unequal({"a": math.nan, "b": [1.0]}, {"a": math.nan, "b": [1.0]})) == []
    assert [key for key, *_ in nnexp.verify._unequal({"a": math.nan}, {"a": 1.0})] == ["a"]


@pytest.mark.slow
def test_the_outcome_does_not_depend_on_the_hash_seed(folder):
    for seed in ("0", "3"):
        command = [sys.executable, "-m", "nnexp.cli", "verify", str(folder)]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
