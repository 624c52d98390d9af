"""What people see: the reports of three experiments, in Chromium, wide and light, narrow and dark, and on paper."""

import shutil
from functools import lru_cache
from pathlib import Path

import pytest

from nnexp.cli import main

pytestmark = [
    pytest.mark.figures,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium: apt-get install chromium"),
]

ROOT = Path(__file__).parents[2]
SWEEP = """
question = "Does tuning help?"
[evaluation]
folds = 5
repeats = 1
[data.iris]
[data.diabetes]
[sweep]
trials = 12
batch_size = 3
folds = 2
[model.plain]
hidden_layer_sizes = [4]
max_iter = 5
[model.tuned]
max_iter = 5
[model.tuned.space]
hidden_layer_sizes = {layers = [1, 2], neurons = [2, 8]}
learning_rate = {low = 0.001, high = 0.1, log = true}
"""
FIGURES = {
    "comparison": {"scores", "differences", "cost-evaluations", "learning-curves", "populations", "confusion", "calibration",
                   "residuals", "networks"},
    "sweep": {"inner-outer", "history", "importances", "pair", "parallel", "slices"},
    "boundaries": {"boundaries", "networks", "confusion"},
}  # fmt: skip
KINDS = [kind if kind == "comparison" else pytest.param(kind, marks=pytest.mark.slow) for kind in FIGURES]


@pytest.fixture(scope="module")
def report_of(tmp_path_factory):
    """Where the report of a kind is; what it is of runs when it is first asked for."""
    folder = tmp_path_factory.mktemp("reports")

    @lru_cache
    def made(kind):
        if kind == "comparison":
            return ROOT / "results" / "example" / "report.html"
        (folder / "sweep.toml").write_text(SWEEP)
        command = {
            "sweep": ["sweep", str(folder / "sweep.toml"), "--workers", "1"],
            "boundaries": [
                "run",
                str(ROOT / "experiments" / "boundaries.toml"),
                "--set",
                "evaluation.repeats=1",
                "--jobs",
                "2",
            ],
        }[kind]
        assert main([*command, "--results", str(folder)]) == 0
        return folder / kind / "report.html"

    return made


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield own
        own.close()


@pytest.fixture
def opened(browser, report_of):
    pages, said, asked = [], [], []

    def open_page(kind, width=1400, scheme="light"):
        view = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        view.on("console", lambda message: said.append(message.text))
        view.on("pageerror", lambda error: said.append(str(error)))
        view.on("request", lambda request: asked.append(request.url))
        view.goto(report_of(kind).as_uri())
        pages.append(view)
        return view

    yield open_page
    for view in pages:
        view.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (400, "dark")])
def test_a_report_fits_and_is_legible(opened, kind, width, scheme):
    view = opened(kind, width, scheme)
    assert view.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    names = {own.get_attribute("id").removeprefix("figure-") for own in view.locator("h2[id^=figure-]").all()}
    assert names >= FIGURES[kind]
    for figure in view.locator("figure svg").all():
        box = figure.bounding_box()
        assert box["width"] > 250
        assert box["height"] > 60
        assert figure.get_attribute("aria-label")
    # Ink against ground, by the contrast of WCAG.
    contrast = view.evaluate("""() => {
      const parts = c => c.match(/[\\d.]+/g).slice(0, 3).map(Number);
      const light = c => { const [r, g, b] = parts(c).map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
        return .2126 * r + .7152 * g + .0722 * b; };
      const style = getComputedStyle(document.body), ground = light(style.backgroundColor);
      return [...document.querySelectorAll("p, td, th, figcaption, a, svg text")].map(own => {
        const ink = getComputedStyle(own), is = light(own.closest("svg") ? getComputedStyle(own.closest("svg")).color : ink.color);
        return (Math.max(is, ground) + .05) / (Math.min(is, ground) + .05);
      }).reduce((a, b) => Math.min(a, b));
    }""")
    assert contrast >= 4.5
    ground = view.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")


def cells(view, table, column):
    return [own.inner_text() for own in view.locator(f"{table} tbody tr td:nth-child({column})").all()]


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_sorts_by_its_heads(opened, kind):
    view = opened(kind)
    head = view.locator("#table-leaderboard thead th").nth(1)
    assert head.inner_text().startswith("mean rank")
    head.locator("button").click()
    up = [float(text) for text in cells(view, "#table-leaderboard", 2)]
    assert up == sorted(up)
    assert head.get_attribute("aria-sort") == "ascending"
    head.locator("button").click()
    assert [float(text) for text in cells(view, "#table-leaderboard", 2)] == sorted(up, reverse=True)
    names = view.locator("#table-leaderboard thead th").first
    names.locator("button").click()
    models = cells(view, "#table-leaderboard", 1)
    if kind == "boundaries":  # names that begin with numbers sort by these
        assert models[0] == "4 tanh"
        return
    assert sorted(models, key=str.lower) == models


def test_numbers_with_units_sort_by_their_size(opened):
    view = opened("comparison")
    heads = view.locator("#table-leaderboard thead th").all_inner_texts()
    place = next(i for i, text in enumerate(heads) if text.startswith("evaluations"))
    view.locator("#table-leaderboard thead th").nth(place).locator("button").click()
    units = {"k": 1e3, "M": 1e6}
    values = [float(t.split()[0]) * units.get(t.split()[-1], 1) for t in cells(view, "#table-leaderboard", place + 1)]
    assert values == sorted(values)
    assert values[0] != values[-1]


@pytest.mark.slow
def test_a_table_filters_and_says_how_many_rows_are_left(opened):
    view = opened("sweep")
    view.locator("summary", has_text="The winners of all studies").click()
    table = view.locator("#table-winners")
    rows = table.locator("tbody tr").count()
    box = view.locator(".filter", has=view.locator("input")).last
    box.locator("input").fill("diabetes tuned")
    shown = [row.inner_text() for row in table.locator("tbody tr").all() if row.is_visible()]
    assert 0 < len(shown) < rows
    assert all("diabetes" in text for text in shown)
    assert f"{len(shown)} of {rows} rows" in box.inner_text()
    box.locator("input").fill("")
    assert sum(row.is_visible() for row in table.locator("tbody tr").all()) == rows


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_data_of_every_figure_are_a_click_away(opened, kind, tmp_path):
    view = opened(kind)
    for details in view.locator("details.data").all():
        details.locator("summary").click()
        details.locator("table tbody tr").first.wait_for()
        with view.expect_download() as download:
            details.locator("a[download]").click()
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        lines = path.read_text().splitlines()
        assert details.locator("thead th").all_inner_texts() == lines[0].split(",")
        assert len(lines) > 1


def test_a_claim_leads_to_its_evidence(opened):
    view = opened("comparison")
    view.locator("a.why").first.click()
    evidence = view.locator("#evidence-A1")
    assert evidence.is_visible()
    assert "--claim A1" in evidence.inner_text()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_it_prints(opened, kind, tmp_path):
    view = opened(kind, scheme="dark")
    view.pdf(path=tmp_path / "report.pdf", format="A4")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    view.emulate_media(media="print", color_scheme="dark")
    assert view.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not view.locator(".filter").first.is_visible() or view.locator(".filter").count() == 0
    view.set_viewport_size({"width": 720, "height": 1000})  # A4 between its margins
    assert view.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_is_small(report_of, kind):
    assert report_of(kind).stat().st_size < 3_000_000
