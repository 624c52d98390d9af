import errno
import json
import multiprocessing
import os
import shutil
import time
from pathlib import Path

import pandas as pd
import pytest

from nnexp import load_results
from nnexp.cli import main
from nnexp.experiment import ResultsError
from nnexp.experiment.results import DETAIL_TABLES, SWEEP_TABLES, Journal
from tests.soak.faults import Fault, install

FIXTURES = Path(__file__).parents[1] / "fixtures" / "version_0_1_0"


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(FIXTURES / "results" / "small", tmp_path / "small"))


@pytest.fixture
def swept(tmp_path):
    return Path(shutil.copytree(FIXTURES / "results" / "tuned", tmp_path / "tuned"))


def keys(folder):
    journal = Journal(folder)
    try:
        return list(journal.records)
    finally:
        journal.close()


def lines(folder):
    return (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)


# The journal


def test_a_torn_tail_is_cut_with_one_truncation_and_nothing_else_is_written(folder, monkeypatch):
    whole = lines(folder)
    (folder / "journal.jsonl").write_bytes(b"".join(whole)[:-50])
    calls = []
    real = os.ftruncate
    monkeypatch.setattr(os, "ftruncate", lambda file, size: (calls.append(size), real(file, size)))
    monkeypatch.setattr(os, "write", lambda *_: pytest.fail("a mend of a torn tail writes nothing"))
    journal = Journal(folder)
    assert len(journal.records) == len(whole) - 1
    assert journal.lost.startswith("1 damaged record(s)")
    journal.close()
    assert calls == [sum(map(len, whole[:-1]))]
    assert lines(folder) == whole[:-1]


def test_damage_in_the_middle_is_left_out_of_a_new_file_and_kept_in_a_copy(folder):
    whole = lines(folder)
    damaged = [*whole[:2], b"\0\0\0\n", whole[2][:40] + b"\n", *whole[3:], b"torn"]
    (folder / "journal.jsonl").write_bytes(b"".join(damaged))
    assert keys(folder) == [json.loads(line)["key"] for line in [*whole[:2], *whole[3:]]]
    assert lines(folder) == [*whole[:2], *whole[3:]]
    assert (folder / "journal.jsonl.damaged").read_bytes() == b"".join(damaged[:-1])
    (folder / "journal.jsonl").write_bytes(b"{}\n" + b"".join(whole))
    keys(folder)
    assert (folder / "journal.jsonl.damaged-2").exists()  # no copy takes the place of another
    assert not list(folder.glob("*.nnexp-tmp"))


def mend(folder, fault):
    """Read a journal in a process of its own that meets a fault."""
    install(fault)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # of Ctrl-C there is a traceback here, where there is no command
    Journal(folder).close()


@pytest.mark.parametrize(
    "kind",
    ["torn", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("kill before", "EIO", "full disk", "SIGINT"))],
)
def test_whatever_happens_while_a_journal_is_mended_no_whole_record_is_lost(folder, kind):
    whole = lines(folder)
    damaged = b"".join([*whole[:3], b"{}\n", *whole[3:], b"torn"])
    wanted = sorted(json.loads(line)["key"] for line in whole)
    for number in range(1, 60):
        (folder / "journal.jsonl").write_bytes(damaged)
        process = multiprocessing.get_context("fork").Process(target=mend, args=(folder, Fault(kind, number)))
        process.start()
        process.join()
        for copy in folder.glob("*.damaged*"):
            copy.unlink()
        assert sorted(keys(folder)) == wanted, number
        if process.exitcode == 0:
            break
    else:
        pytest.fail("it never comes to an end without the fault")
    assert number > 5


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("operation", ["read", "ftruncate", "fsync"])
def test_a_disk_that_fails_under_a_journal_is_a_sentence(folder, monkeypatch, code, operation):
    with open(folder / "journal.jsonl", "ab") as file:
        file.write(b"torn")

    def fail(*_):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as broken:
        broken.setattr(os, operation, fail)
        with pytest.raises(ResultsError, match=os.strerror(code)):
            Journal(folder)
    assert len(keys(folder)) == 8  # and the lock was given up


def test_a_death_of_an_earlier_version_is_no_result(tmp_path):
    folder = Path(shutil.copytree(FIXTURES / "results" / "died", tmp_path / "died"))
    journal = Journal(folder)
    assert {record["row"]["model"] for record in journal.records.values()} == {"linear"}
    assert {record["row"]["model"] for record in journal.deaths.values()} == {"killer"}
    journal.close()


def test_the_mend_keeps_others_out(folder):
    (folder / "journal.jsonl").write_bytes(b"{}\n" + b"".join(lines(folder)))
    journal = Journal(folder)  # which is another file now
    with pytest.raises(ResultsError, match="Another nnexp run is writing"):
        Journal(folder)
    journal.close()


# Files of an earlier version


@pytest.mark.parametrize("name", ["small", "tuned", "elastic", "died"])
def test_results_of_an_earlier_version_still_load_and_are_reported(name, tmp_path, capsys):
    folder = shutil.copytree(FIXTURES / "results" / name, tmp_path / name)
    results = load_results(folder)
    assert results.is_complete
    assert main(["report", str(folder)]) == 0
    assert main(["table", str(folder)]) == 0
    capsys.readouterr()


@pytest.mark.slow
def test_a_study_of_an_earlier_version_is_shown_and_its_sweep_refused_with_a_sentence(tmp_path, capsys):
    shutil.copytree(FIXTURES, tmp_path / "old")
    assert main(["doctor", str(tmp_path / "old" / "results" / "tuned")]) == 0
    assert "3 complete" in capsys.readouterr().out
    assert main(["sweep", str(tmp_path / "old" / "tuned.toml"), "--results", str(tmp_path / "old" / "results")]) == 2
    err = capsys.readouterr().err
    assert "made with other versions: another version of nnexp" in err
    assert len(err.splitlines()) == 1
    again = ["sweep", str(tmp_path / "old" / "tuned.toml"), "--results", str(tmp_path / "old" / "results")]
    assert main([*again, "--keep"]) == 2  # the trials do not say with what they were made
    assert "--redo forgets them" in capsys.readouterr().err
    assert main([*again, "--redo"]) == 0


# A folder that is somebody else's


def put(path, *keys):
    *inner, last, value = keys

    def change(folder):
        content = json.loads((folder / path).read_text())
        place = content
        for key in inner:
            place = place[key]
        place[last] = value
        (folder / path).write_text(json.dumps(content))

    return change


def cell(name, column, value, row=0):
    def change(folder):
        table = pd.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False)
        table.loc[row, column] = value
        table.to_csv(folder / f"{name}.csv", index=False)

    return change


def becomes(path, content):
    def change(folder):
        (folder / path).unlink()
        if content is None:
            (folder / path).mkdir()
        else:
            (folder / path).write_bytes(content)

    return change


DAMAGES = [
    (put("experiment.json", "name", "../../escaped"), "a name is made of letters"),
    (put("experiment.json", "name", "/etc"), "a name is made of letters"),
    (put("experiment.json", "name", "x" * 300), "a name is made of letters"),
    (put("experiment.json", "name", None), "'name'"),
    (put("experiment.json", "question", 5), "'question'"),
    (put("experiment.json", "question", "\ud800"), "'question'"),
    (put("experiment.json", "model", []), "'model'"),
    (put("experiment.json", "model", "linear", "class", "os.system"), "'model.linear.class'"),
    (put("experiment.json", "model", "linear", None), "'model.linear'"),
    (put("experiment.json", "evaluation", "folds", "5"), "'evaluation.folds'"),
    (put("experiment.json", "evaluation", "metrics", "classification", []), "'evaluation.metrics.classification'"),
    (put("experiment.json", "evaluation", "metrics", "classification", ["f1"]), "has no score 'f1'"),
    (put("experiment.json", "data", {"wine": {}}), "'iris', which is no data of experiment.json"),
    (put("experiment.json", "allow_modules", [""]), "'allow_modules.0'"),
    (put("environment.json", "planned_runs", -1), "'planned_runs'"),
    (put("environment.json", "planned_runs", "8"), "'planned_runs'"),
    (put("environment.json", "versions", []), "'versions'"),
    (put("environment.json", "versions", "numpy", 2), "'versions.numpy'"),
    (put("environment.json", "data", "iris", "classes", {"0": "many"}), "'data.iris.classes.0'"),
    (put("environment.json", "files", ["runs.csv"]), "'files'"),
    (put("environment.json", "notes", "none"), "'notes'"),
    (put("environment.json", "command", {}), "'command'"),
    (becomes("environment.json", b"[]"), "environment.json"),
    (becomes("environment.json", b"[" * 10_000), "nested too deeply"),
    (becomes("environment.json", b"\xff\xfe"), "environment.json"),
    (becomes("environment.json", None), "environment.json"),
    (becomes("curves.csv", None), "it is no file"),
    (becomes("curves.csv", b""), "curves.csv"),
    (becomes("runs.csv", b"data,model\n"), "it has no column"),
    (becomes("runs.csv", b"\0" * 100), "runs.csv"),
    (becomes("confusion.csv", b'"'), "confusion.csv"),
    (cell("runs", "model", "other"), "line 2: model is 'other', which is no model of experiment.json"),
    (cell("runs", "task", "clustering"), "line 2: task is 'clustering', which is none of"),
    (cell("runs", "task", "regression"), "has two tasks"),
    (cell("runs", "status", "fine"), "line 2: status is 'fine'"),
    (cell("runs", "repeat", "-1"), "line 2: repeat is '-1', which is no count"),
    (cell("runs", "fold", "0.5"), "line 2: fold is '0.5', which is no count"),
    (cell("runs", "n_train", "1e300"), "line 2: n_train is '1e300', which is no count"),
    (cell("runs", "accuracy", "good"), "line 2: accuracy is 'good', which is no number"),
    (cell("runs", "accuracy", "inf"), "line 2: accuracy is 'inf', which is no number"),
    (cell("runs", "accuracy", ""), "a finished run has no score 'accuracy'"),
    (cell("times", "fit_seconds", "soon", 3), "line 5: fit_seconds is 'soon'"),
    (cell("curves", "step", ""), "line 2: step is '', which is no number"),
    (cell("networks", "layer", "first"), "line 2: layer is 'first'"),
    (cell("networks", "activation", ""), "line 2: activation is '', which is no activation of a neuron"),
    (cell("networks", "neuron", "1"), "neuron is '1', which is there twice"),
    (cell("calibration", "count", "-3"), "line 2: count is '-3'"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("damage", "said"),
    [pytest.param(*both, id=str(i), marks=pytest.mark.slow if i % 3 else ()) for i, both in enumerate(DAMAGES)],
)
def test_a_damaged_folder_is_a_sentence_of_every_command(folder, tmp_path, damage, said, capsys):
    other = shutil.copytree(folder, tmp_path / "other")
    damage(folder)
    with pytest.raises(ResultsError) as caught:
        load_results(folder)
    assert said in str(caught.value)
    outside = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    given = str(folder)
    for command in (["report", given], ["verify", given], ["compare", str(other), given, "--results", str(tmp_path)]):
        assert main(command) in (1, 2)
        assert "Traceback" not in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == outside


SWEPT = [
    (cell("tuned", "parameters", "[1]"), "which is no table in JSON"),
    (cell("tuned", "best", "first"), "best is 'first'"),
    (cell("trials", "state", "dead"), "state is 'dead'"),
    (cell("trials", "number", ""), "number is ''"),
    (cell("trial_curves", "trial_fold", "x"), "trial_fold is 'x'"),
    (cell("trial_times", "tries", "often"), "tries is 'often'"),
    (becomes("tuned.csv", b"data,model\n"), "it has no column"),
    (put("experiment.json", "sweep", "trials", "many"), "'sweep.trials'"),
    (put("experiment.json", "sweep", []), "'sweep'"),
]


@pytest.mark.parametrize(("damage", "said"), SWEPT, ids=[str(i) for i in range(len(SWEPT))])
def test_a_damaged_folder_of_a_sweep_is_a_sentence(swept, damage, said, capsys):
    damage(swept)
    with pytest.raises(ResultsError) as caught:
        load_results(swept)
    assert said in str(caught.value)
    assert main(["report", str(swept)]) == 2
    capsys.readouterr()


def test_verify_reads_no_file_that_a_record_names_elsewhere(folder, capsys):
    put("environment.json", "files", {"../../../../../../etc/passwd": "0" * 64})(folder)
    assert main(["verify", str(folder)]) == 1
    assert "environment.json records '../../../../../../etc/passwd', which no run writes" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["../escaped", "/tmp/escaped", "x" * 300, "a/b", "", ".", "..", "a\nb", "CON"])
def test_no_name_of_a_joined_experiment_leads_elsewhere(folder, tmp_path, name, capsys):
    before = sorted(tmp_path.rglob("*"))
    assert main(["compare", str(folder), str(folder), "--results", str(tmp_path), "--name", name]) == 2
    assert "a name is made of letters" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_names_that_are_too_long_together_ask_for_another(folder, tmp_path, capsys):
    for name in ("a", "b"):
        place = shutil.copytree(folder, tmp_path / name)
        put("experiment.json", "name", name * 80)(place)
    given = ["compare", str(tmp_path / "a"), str(tmp_path / "b"), "--results", str(tmp_path / "joined")]
    assert main(given) == 2
    assert "--name" in capsys.readouterr().err
    assert main([*given, "--name", "both"]) == 0
    assert load_results(tmp_path / "joined" / "both").is_complete


# What an attack found


def test_a_folder_of_somebody_elses_is_not_taken_for_a_joined_one(folder, tmp_path, capsys):
    for content in ({"runs.csv": "precious", "trials.csv": "precious"}, {"journal.jsonl": "{}"}):
        mine = tmp_path / "o" / "mine"
        mine.mkdir(parents=True)
        for name, text in content.items():
            (mine / name).write_text(text)
        other = shutil.copytree(folder, tmp_path / "other" / "small")
        assert main(["compare", str(folder), str(other), "--name", "mine", "--results", str(tmp_path / "o")]) == 2
        assert "holds something else than joined results" in capsys.readouterr().err
        assert {path.name: path.read_text() for path in mine.iterdir()} == content
        shutil.rmtree(tmp_path / "o")
        shutil.rmtree(tmp_path / "other")


@pytest.mark.parametrize("name", ["experiment.json", "environment.json", "runs.csv", "curves.csv", "confusion.csv"])
def test_a_pipe_or_a_device_in_a_folder_is_not_waited_for(folder, name, capsys):
    for make in (os.mkfifo, lambda path: path.symlink_to("/dev/zero")):
        (folder / name).unlink()
        make(folder / name)
        for command in ("report", "verify"):
            assert main([command, str(folder)]) in (1, 2)
        capsys.readouterr()


def test_a_page_of_open_claims_is_compared_at_once(folder, capsys):
    main(["report", str(folder)])
    (folder / "report.html").write_text('<span class="claim" id="A1">' * 30_000)
    begun = time.process_time()
    assert main(["verify", str(folder)]) == 1
    assert time.process_time() - begun < 20
    capsys.readouterr()


def test_a_carriage_return_in_a_name_or_a_label_is_a_part_of_it(tmp_path, capsys):
    (tmp_path / "d.csv").write_bytes(b"x,t\n" + b"".join(b"%d,%s\n" % (i, [b'"a\rb"', b"c"][i % 2]) for i in range(12)))
    (tmp_path / "e.toml").write_text(
        'question = "q?"\n[evaluation]\nfolds = 2\nrepeats = 1\n[data.d]\npath = "d.csv"\ntarget = "t"\n'
        'task = "classification"\n[model."a\\rb"]\nclass = "sklearn.naive_bayes.GaussianNB"\n'
    )
    assert main(["run", str(tmp_path / "e.toml"), "--results", str(tmp_path), "--jobs", "1"]) == 0
    results = load_results(tmp_path / "e")
    assert set(results.runs["model"]) == {"a\rb"}
    assert set(results.confusion["true"]) == {"a\rb", "c"}
    assert main(["run", str(tmp_path / "e.toml"), "--results", str(tmp_path), "--jobs", "1"]) == 0
    assert "0 of them" not in capsys.readouterr().out


def test_an_error_that_becomes_infinite_is_read_back(tmp_path, capsys):
    (tmp_path / "e.toml").write_text(
        'question = "q?"\n[evaluation]\nfolds = 2\nrepeats = 1\nmetrics.regression = ["neg_median_absolute_error"]\n'
        '[data.linnerud]\n[model.wild]\nactivation = "relu"\noptimizer = "sgd"\nlearning_rate = 1e4\nmax_iter = 30\n'
        "batch_size = 4\nnormalize_y = false\n"
    )
    for known in (0, 2):
        assert main(["run", str(tmp_path / "e.toml"), "--results", str(tmp_path), "--jobs", "1"]) in (0, 1)
        out = capsys.readouterr().out
        assert "damaged" not in out
        assert (f"{known} of them finished before" in out) is (known > 0)


def test_winners_that_set_what_does_not_vary_are_not_believed(swept, capsys):
    cell("tuned", "parameters", '{"nope": 1}')(swept)
    assert main(["verify", str(swept), "--rerun", "1"]) == 1
    assert "sets what does not vary" in " ".join(capsys.readouterr().out.split())


def test_data_without_a_fingerprint_are_not_joined(folder, tmp_path, capsys):
    other = shutil.copytree(folder, tmp_path / "other" / "small")
    for place in (folder, other):
        put("environment.json", "data", {})(place)
    assert main(["compare", str(folder), str(other), "--name", "both", "--results", str(tmp_path)]) == 2
    assert "does not say which data it was" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.figures
@pytest.mark.parametrize(
    "missing",
    [
        *([name] for name in ("trials", "tuned", "confusion")),
        [*SWEEP_TABLES, *DETAIL_TABLES],
    ],
    ids=lambda missing: "+".join(missing[:2]),
)
def test_a_folder_in_which_tables_are_missing_is_reported_without_them(swept, missing, capsys):
    for name in missing:
        (swept / f"{name}.csv").unlink(missing_ok=True)
    for arguments in (["report", str(swept)], ["report", str(swept), "--format", "json"], ["verify", str(swept)]):
        assert main(arguments) == (1 if arguments[0] == "verify" else 0)  # which finds that they are missing
    capsys.readouterr()
    results = load_results(swept)
    for name in missing:
        assert results.__dict__[name].empty
        assert "data" in results.__dict__[name]
