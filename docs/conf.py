"""How Sphinx builds the documentation: `make docs`."""

import importlib
import inspect
from pathlib import Path

from nnexp import __version__

project = "nnexp"
author = "The nnexp developers"
copyright = "The nnexp developers"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "plugin", "examples"]
templates_path = ["_templates"]
suppress_warnings = ["config.cache"]  # the gallery's settings hold a class
nitpicky = False

html_theme = "pydata_sphinx_theme"
html_title = f"nnexp {__version__}"
html_static_path = ["_static"]
html_css_files = ["own.css"]
html_show_sourcelink = False
html_theme_options = {
    "github_url": "https://github.com/nnexp/nnexp",
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "footer_start": [],
    "footer_end": [],
}

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autosummary_generate = True
doctest_test_doctest_blocks = ""  # those of docstrings are run by pytest
autodoc_typehints = "none"  # the sections of parameters say them in words
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_param = False
napoleon_use_ivar = True

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "download_all_examples": False,
    "show_memory": False,
    "remove_config_comments": True,
    "min_reported_time": 10_000,
}

# What is public, by module: each name of __all__ has a page.
PUBLIC = {
    "nnexp": "What `from nnexp import ...` gives: the estimators, algorithms, sweeps, results.",
    "nnexp.network": "Networks without weights, and what they are made of.",
    "nnexp.training": "Algorithms, and the tables of parts that can be named.",
    "nnexp.sweep": "Studies, spaces and samplers.",
    "nnexp.experiment": "Experiment files, data sets, runs and tables.",
    "nnexp.report": "From tables to a page that answers.",
    "nnexp.testing": "Checks of parts of one's own.",
}


def write_api_pages() -> None:
    """Write a page for each public module, from its __all__: classes and functions have pages, tables of names a line."""
    folder = Path(__file__).parent / "api"
    folder.mkdir(exist_ok=True)
    seen: set[str] = set()
    for module, said in PUBLIC.items():
        loaded = importlib.import_module(module)
        names = [name for name in sorted(loaded.__all__) if not name.startswith("__") and name not in seen]
        with_pages = [name for name in names if inspect.isroutine(own := getattr(loaded, name)) or inspect.isclass(own)]
        seen |= set(names)
        lines = [f"# {module}", "", said, "", "```{eval-rst}", f".. currentmodule:: {module}", "", ".. autosummary::"]
        lines += ["   :toctree: generated", "", *(f"   {name}" for name in with_pages), "```", ""]
        tables = [name for name in names if name not in with_pages]
        if tables:
            lines += [f"Tables of what can be named: {', '.join(f'`{name}`' for name in tables)}.", ""]
        write(folder / f"{module}.md", lines)
    write(
        folder / "index.md",
        ["# API", "", "Everything public, by module.", "", "```{toctree}", ":maxdepth: 1", "", *PUBLIC, "```", ""],
    )


def write(path: Path, lines: list[str]) -> None:
    """Write a page, unless it is the same already."""
    text = "\n".join(lines)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def skip(app: object, what: str, name: str, obj: object, skipped: bool, options: object) -> bool | None:
    """Leave out what scikit-learn adds to every estimator for the routing of metadata."""
    return True if (name.startswith("set_") and name.endswith("_request")) or name == "get_metadata_routing" else None


def setup(app: object) -> None:
    """Connect what is above."""
    app.connect("autodoc-skip-member", skip)  # type: ignore[attr-defined]


write_api_pages()
