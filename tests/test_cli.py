import subprocess
import sys

import pandas as pd
import pytest

import nnexp
from nnexp.cli import main
from nnexp.network import ACTIVATIONS, ERROR_FUNCTIONS
from nnexp.training import ALGORITHMS

FILE = """
question = "Is it better to learn?"
[evaluation]
folds = 2
repeats = 1
[data.iris]
[model.network]
max_iter = 5
[model.constant]
class = "sklearn.dummy.DummyClassifier"
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(FILE)
    return "mine.toml"


def test_run_prints_the_comparison_and_says_where_the_report_is(file, capsys, tmp_path):
    assert main(["run", file, "--jobs", "1"]) == 0
    out = capsys.readouterr().out
    assert "Is it better to learn?" in out
    assert "4 runs." in out
    assert "4 of 4 runs finished" in out
    assert "model" in out
    assert "No best model is shown on iris: network has the highest mean accuracy" in out
    assert "Report: results/mine/report.html" in out
    assert (tmp_path / "results/mine/report.html").is_file()
    assert (tmp_path / "results/mine/report.md").is_file()
    assert main(["run", file, "--jobs", "1"]) == 0
    assert "4 runs, 4 of them finished before." in capsys.readouterr().out


def test_run_takes_a_folder_changes_and_quick(file, capsys, tmp_path):
    arguments = [
        "run",
        file,
        "--quick",
        "--set",
        "model.network.learning_rate=0.01",
        "--results",
        "elsewhere",
        "--jobs",
        "1",
    ]
    assert main(arguments) == 0
    assert "quick run on a small budget" in capsys.readouterr().out
    results = nnexp.load_results("elsewhere/mine-quick")
    assert results.experiment["model"]["network"]["learning_rate"] == 0.01
    assert results.environment["command"] == (
        "nnexp run mine.toml --set model.network.learning_rate=0.01 --quick --results elsewhere"
    )


def test_table_and_report_work_from_the_folder(file, capsys, tmp_path):
    main(["run", file, "--jobs", "1"])
    (tmp_path / "results/mine/report.html").unlink()
    capsys.readouterr()
    assert main(["report", "results/mine"]) == 0
    assert (tmp_path / "results/mine/report.html").is_file()
    assert main(["table", "results/mine"]) == 0
    assert "mean rank" in capsys.readouterr().out
    assert main(["table", "results/mine", "--csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("data,model,mean,half_width")
    assert len(lines) == 3


def test_failed_runs_are_told_and_set_the_exit_status(file, capsys, tmp_path):
    text = FILE.replace('class = "sklearn.dummy.DummyClassifier"', 'class = "sklearn.naive_bayes.CategoricalNB"')
    (tmp_path / file).write_text(text)
    assert main(["run", file, "--jobs", "1"]) == 1
    out = capsys.readouterr().out
    assert "failed: constant on iris, repeat 0, fold 0: " in out
    assert "2 of 4 runs failed" in out
    assert "constant failed in 2 of 2 runs on iris" in out
    assert pd.read_csv("results/mine/runs.csv")["problem"].notna().sum() == 2


def test_list_names_every_part_with_a_line(capsys):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    for name in [*ACTIVATIONS, *ERROR_FUNCTIONS, *ALGORITHMS, "adam", "he_normal", "iris"]:
        line = next(line for line in out.splitlines() if line.startswith(f"  {name} "))
        assert len(line.split()) >= 3
    assert "inspect" not in out
    main(["list", "algorithms"])
    algorithms = capsys.readouterr().out
    assert "\n  relu " not in algorithms
    assert "population_size, which may be left out, sigma = 0.5" in " ".join(algorithms.split())
    assert "None" not in algorithms


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "mien.toml"], "nnexp: There is no experiment file mien.toml. Did you mean 'mine.toml'?"),
        (["run", "mine.toml", "--set", "seed"], "nnexp: --set seed: write it as KEY=VALUE."),
        (["run", "mine.toml", "--set", "model.netwrk.l2=1"], "Did you mean 'network'?"),
        (["run", "mine.toml", "--results", "mine.toml"], "The results cannot be written to mine.toml"),
        (
            ["table", "results/none"],
            "nnexp: results/none holds no results (no runs.csv). There is no such folder.",
        ),
        (["report", "."], "nnexp: . holds no results"),
    ],
)
def test_a_mistake_is_a_sentence_and_exit_status_2(file, capsys, arguments, sentence):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["rum", "mine.toml"], "nnexp: error: argument COMMAND: invalid choice: 'rum'"),
        (["rum", "mine.toml"], ". Did you mean run?"),
        (
            ["run", "mine.toml", "--jbos", "2"],
            "nnexp run: error: unrecognized arguments: --jbos 2. Did you mean --jobs?",
        ),
        (["run", "mine.toml", "--wrokers=2"], "nnexp run: error: unrecognized arguments: --wrokers=2\n"),
        (["sweep", "mine.toml", "--wrokers=2"], "unrecognized arguments: --wrokers=2. Did you mean --workers?"),
        (["run", "mine.toml", "other.toml"], "nnexp run: error: unrecognized arguments: other.toml\n"),
        (["list", "activation"], ". Did you mean activations?"),
        (["table", "results/mine", "zzz"], "'importances')\n"),
    ],
)
def test_a_word_that_the_command_does_not_know_is_said_with_what_was_perhaps_meant(capsys, arguments, sentence):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("usage: nnexp")
    assert sentence.replace("'", "") in error.replace("'", "")  # Python 3.12 leaves the quotes out


def test_the_command_alone_shows_its_help(capsys):
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 0
    alone = capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--help"])
    assert alone == capsys.readouterr().out
    assert alone.startswith("usage: nnexp")


def test_help_has_examples_and_version_the_version():
    def said(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "nnexp.cli", *arguments], capture_output=True, text=True, check=True
        ).stdout

    assert "nnexp run experiments/quickstart.toml" in said("--help")
    assert "--set model.backprop.activation=relu" in said("run", "--help")
    assert said("--version") == f"nnexp {nnexp.__version__}\n"
