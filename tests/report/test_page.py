import html
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from nnexp._errors import printable
from nnexp.report import compare, report_json, write_report
from nnexp.report.content import head_to_head_table
from nnexp.report.figures.curves import best_so_far
from nnexp.report.markdown import code, plain
from tests import searched
from tests.report.tables import make_results
from tests.test_statistics import around

pytestmark = pytest.mark.figures

SCORES = {
    "a": {"x": around(0.95, seed=1), "y": around(0.8, seed=2), "z": [*around(0.7, n=9), None]},
    "b": {"x": around(0.9, seed=3), "y": around(0.85, seed=4), "z": around(0.5, seed=5)},
}
ROOT = Path(__file__).parents[2]
VOID = {"meta", "link", "br", "img", "hr", "input"}


@pytest.fixture(scope="module")
def made_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    write_report(make_results(SCORES, folder=folder, evaluations={"x": 1000.0, "y": 5000.0, "z": 1000.0}))
    return folder


@pytest.fixture
def page(made_once, tmp_path):
    shutil.copytree(made_once, tmp_path, dirs_exist_ok=True)
    return tmp_path / "report.html"


class Checker(HTMLParser):
    """Checks that tags nest, and collects ids and addresses."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.addresses = [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.handle_startendtag(tag, attrs)

    def handle_startendtag(self, tag, attrs):
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in ("href", "src", "xlink:href"):
                self.addresses.append(value)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_refers_to_itself_alone(page):
    checker = Checker()
    text = page.read_text()
    checker.feed(text)
    assert not checker.open
    assert len(checker.ids) == len(set(checker.ids))
    for address in checker.addresses:
        assert address.startswith(("#", "data:")), address
        assert not address.startswith("#") or address[1:] in checker.ids
    assert "@import" not in text
    for reference in re.findall(r"url\(([^)]*)\)", text):
        assert reference.strip("\"'")[1:] in checker.ids


def test_the_page_and_its_twin_say_the_same(page):
    html, twin = page.read_text(), page.with_suffix(".md").read_text()
    for text in (html, twin):
        assert "x has the best mean rank" in text
        assert "z failed in 1 of 10 runs on a" in text
        assert "failed 1×" in text
        assert "nnexp run made.toml" in text
        assert "2 × 5-fold cross-validation" in text
    assert html.count("<svg") == html.count('role="img" aria-label=') == html.count("Data of this figure") >= 4


def test_text_from_outside_is_escaped(page):
    html = page.read_text()
    assert "Which is &lt;best&gt;?" in html
    assert "<b>broke" not in html


def test_names_with_signs_of_mathematics_and_powers_of_ten_are_drawn_as_they_are(tmp_path):
    html = write_report(make_results({"$a$": {"$x$": around(0.9), "_y": around(0.8)}}, folder=tmp_path)).read_text()
    assert ">$x$<" in html
    assert "mathdefault" not in html
    assert html.count("_y<") >= 4  # also in the legends


def test_tables_of_the_twin_have_equal_columns(page):
    for block in page.with_suffix(".md").read_text().split("\n\n"):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        assert len({row.rstrip().rstrip("|").count("|") for row in rows}) <= 1, block


def test_the_same_tables_give_the_same_page(page, tmp_path):
    before = page.read_bytes()
    assert (
        write_report(
            make_results(SCORES, evaluations={"x": 1000.0, "y": 5000.0, "z": 1000.0}, folder=tmp_path)
        ).read_bytes()
        == before
    )


def test_a_report_of_nothing_yet_and_of_one_model_is_a_page(tmp_path):
    results = make_results({"a": {"x": around(0.9)}}, folder=tmp_path)
    assert "nothing to compare" in write_report(results).read_text()
    empty = type(results)(**{**vars(results), "runs": results.runs.iloc[:0], "curves": results.curves.iloc[:0]})
    assert "No run is finished yet" in write_report(empty).read_text()


needs_chromium = pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium: apt-get install chromium")


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (400, "dark")])
def test_a_browser_shows_it_without_errors_requests_or_sideways_scrolling(page, width, scheme, tmp_path):
    from playwright.sync_api import sync_playwright

    said, asked = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        view = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        view.on("console", lambda message: said.append(message.text))
        view.on("pageerror", lambda error: said.append(str(error)))
        view.on("request", lambda request: asked.append(request.url))
        view.goto(page.as_uri())
        assert view.inner_text("h1") == "Which is <best>?"
        assert view.locator("svg[role=img]").count() >= 4
        for figure in view.locator("figure svg").all():
            box = figure.bounding_box()
            assert box["width"] > 300
            assert box["height"] > 80
        assert view.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        ground = view.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
        browser.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


@pytest.mark.slow
def test_scores_on_validation_samples_are_drawn_against_evaluations_where_there_are_any(tmp_path):
    title = '"figure-score-curves"'
    assert title not in write_report(make_results(SCORES, folder=tmp_path)).read_text()
    page = write_report(make_results(SCORES, folder=tmp_path, validates=True)).read_text()
    assert title in page
    assert "The best score so far on the validation samples against evaluations spent" in page


def test_a_score_counts_until_the_run_has_a_better_one():
    curves = make_results(SCORES, validates=True).curves
    best = best_so_far(curves)
    assert best["validation_score"].tolist()[:10] == [0.5, 0.8, 0.8, 0.8, 0.9] * 2
    assert curves["validation_score"].tolist()[:5] == [0.5, 0.8, 0.6, 0.7, 0.9]


def test_head_to_head_counts_the_data_sets_that_each_model_is_ahead_on():
    scores = {
        "a": {"x": around(0.95, seed=1), "y": around(0.8, seed=2), "z": around(0.7, seed=3)},
        "b": {"x": around(0.6, seed=4), "y": around(0.9, seed=5), "z": around(0.6, seed=4)},
        "c": {"x": around(0.9, seed=6), "y": [None, *around(0.9, n=9)], "z": around(0.5, seed=7)},
    }
    head, rows = head_to_head_table(compare(make_results(scores)))
    table = {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows}
    assert table["x"]["y"]["text"] == "1–0–1 (1–1)"  # on c one has failed, and counts for neither
    assert table["x"]["z"]["text"] == "2–1–0 (2–0)"  # equal on b
    assert table["z"]["x"]["text"] == "0–1–2 (0–2)"
    assert table["y"]["z"]["text"] == "2–0–0 (2–0)"
    assert table["x"]["x"]["text"] == ""


def test_two_models_or_one_data_set_need_no_head_to_head():
    assert head_to_head_table(compare(make_results({"a": SCORES["a"]}))) == ([], [])
    two = {name: {model: own[model] for model in "xy"} for name, own in SCORES.items()}
    assert head_to_head_table(compare(make_results(two))) == ([], [])


@pytest.mark.slow
def test_data_sets_without_validation_samples_are_left_out_of_the_scores_against_evaluations(tmp_path):
    results = make_results(SCORES, folder=tmp_path, validates=True)
    results.curves.loc[results.curves["data"] == "b", "validation_score"] = float("nan")
    assert '"figure-score-curves"' in write_report(results).read_text()


@pytest.mark.slow
def test_costs_are_drawn_where_they_differ(tmp_path):
    title = 'id="figure-cost-evaluations"'
    assert title not in write_report(make_results(SCORES, folder=tmp_path)).read_text()  # one budget for all
    unequal = make_results(SCORES, folder=tmp_path, evaluations={"x": 1000.0, "y": 5000.0, "z": 1000.0})
    assert title in write_report(unequal).read_text()


def test_the_json_says_what_the_page_says_in_numbers(page, tmp_path):
    results = make_results(SCORES, evaluations={"x": 1000.0, "y": 5000.0, "z": 1000.0})
    said = json.loads(report_json(results))
    twin = page.with_suffix(".md").read_text()
    for claim in [*said["answer"], *said["cautions"]]:
        assert f"[{claim['id']}]" in twin
        assert claim["text"] in twin
    cells = {(row["data"], row["model"]): row["mean"] for row in said["tables"]["cells"]}
    assert cells["a", "z"] is None  # what failed has no mean, and JSON has no NaN
    assert cells["b", "x"] == pytest.approx(sum(SCORES["b"]["x"]) / 10)
    figure = said["figures"]["scores"]
    assert len(figure["rows"]) == 6
    assert figure["columns"][:3] == ["data", "model", "mean"]


LIVE = [
    "![picture](http://tracker.example/x.png)", "[click](javascript:alert(1))", "`; rm -rf ~`", "a`b``c", "**bold** _it_ ~~gone~~",
    "<img src=x onerror=alert(1)>", "# heading", "1. list", "- list", "> quote", "a|b|c", "https://host.example/path",
    "www.host.example", "$E=mc^2$", "&lt;b&gt;", "\\[x](y)", "\x1b[31mred", "line\nbreak", "[ref]: http://host.example",
]  # fmt: skip


@pytest.mark.parametrize("text", LIVE)
def test_what_names_and_questions_hold_is_text_in_the_twin(text):
    """GitHub's Markdown makes of it what it was, and nothing that acts."""
    reader = MarkdownIt("gfm-like")
    reader.linkify.set({"fuzzy_link": False})
    wanted = html.escape(printable(" ".join(text.split())))
    for line in (plain(text), f"before {plain(text)} after"):
        shown = reader.render(line).strip()
        assert html.unescape(re.sub("</?p>", "", shown)) == html.unescape(
            wanted if line.startswith(plain(text)) and not line.startswith("before") else f"before {wanted} after"
        )
        assert "<" not in re.sub("</?p>", "", shown)
    row = reader.render(f"| head |\n|---|\n| {plain(text)} |\n")
    assert row.count("<td") == 1
    assert not re.search("<(a|img|em|strong|code|s|h1)\\b", row)
    shown = reader.renderInline(f"x {code(text)} y")
    assert shown == f"x <code>{wanted}</code> y"


@pytest.mark.slow
def test_every_process_writes_the_same_bytes():
    """Of six data sets, so that ranks are drawn with what joins them; under several hash seeds."""
    code = """
import hashlib
from nnexp.report import render
from tests.report.tables import make_results

ranks = {"lda": 0.8, "lr": 0.81, "nb": 0.7, "svc": 0.805}
scores = {f"d{i}": {m: [s + 0.01 * ((i * k + len(m)) % 5) for k in range(4)] for m, s in ranks.items()} for i in range(6)}
page, twin = render(make_results(scores))
assert "figure-critical-difference" in page
print(hashlib.sha256((page + twin).encode()).hexdigest())
"""
    seen = set()
    for seed in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": searched(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        seen.add(done.stdout)
    assert len(seen) == 1


def test_settings_are_shown_where_models_differ_in_them(tmp_path):
    results = make_results(SCORES, folder=tmp_path)
    network = {"classification": "nnexp.BackpropMLP", "regression": "nnexp.BackpropMLP"}
    tree = {"classification": "sklearn.tree.DecisionTreeClassifier", "regression": "sklearn.tree.DecisionTreeRegressor"}
    results.experiment["model"] = {
        "x": {"class": network, "max_iter": 5, "algorithm": {"name": "snes", "population_size": 8}},
        "y": {"class": network, "max_iter": 5, "algorithm": {"name": "snes", "population_size": 16}},
        "z": {"class": tree, "max_iter": 5, "algorithm": {"name": "snes"}, "note": "a | b"},
    }
    lines = write_report(results).with_suffix(".md").read_text().split("## What the models differ in")[1].splitlines()
    table = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("|")]
    assert table[0] == ["setting", "x", "y", "z"]
    rows = {row[0].replace("\\", ""): row[1:] for row in table[2:]}
    assert list(rows)[:3] == ["class", "algorithm.population_size", "note"]
    assert rows["class"] == ["BackpropMLP", "BackpropMLP", "DecisionTreeClassifier / DecisionTreeRegressor"]
    assert rows["algorithm.population_size"] == ["8", "16", "—"]
    results.experiment["model"] = {name: {"class": network} for name in "xyz"}
    assert "What the models differ in" not in write_report(results).read_text()
