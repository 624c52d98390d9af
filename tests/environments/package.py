"""Build what a package index gets, install it and look at it: `python -m tests.environments.package`."""

import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
# All that `pip install nnexp` brings, without what Python compiles; in MiB.
MOST_MIB = 370


def run(*command, **settings):
    return subprocess.run([*map(str, command)], check=True, capture_output=True, text=True, **settings).stdout


def tracked():
    """Return the files of the repository; where git does not know it, those of its folders."""
    try:
        return set(run("git", "ls-files", cwd=ROOT).split("\n")) - {""}
    except (OSError, subprocess.CalledProcessError):
        folders = ("docs/guide", "docs/plugin", "experiments", "nnexp", "results/example", "tests")
        files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
        return {
            str(path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts and path.suffix != ".lock"
        }


def check_source(path):
    """The source distribution holds every file of the repository."""
    with tarfile.open(path) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    files = tracked()
    missing = {name for name in files if not name.startswith(".")} - held
    assert not missing, f"{path.name} lacks {sorted(missing)[:5]}"
    print(f"{path.name}: {len(held)} files, all {sum(name.startswith('tests/') for name in files)} of the tests")


def check_wheel(path):
    """The wheel holds the package, and its description leads nowhere within a repository that is not there."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        (metadata,) = (archive.read(name).decode() for name in names if name.endswith("/METADATA"))
    assert all(name.startswith(("nnexp/", "nnexp-")) for name in names), names
    for name in ("py.typed", "report/page.html.jinja", "report/page.css", "report/page.js"):
        assert f"nnexp/{name}" in names
    links = re.findall(r"\]\(([^)]+)\)", metadata)
    assert links
    assert all(link.startswith(("https://", "#")) for link in links), links
    print(f"{path.name}: {len(names)} files, {path.stat().st_size / 1e6:.2f} MB, {len(links)} links")


def check_installed(wheel, folder):
    """It installs alone, says its version, and is not heavy."""
    target = folder / "installed"
    run(
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
        "--no-compile",
        "--target",
        target,
        wheel,
    )
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file() and path.suffix != ".pyc") / 2**20
    code = f"import sys; sys.path.insert(0, {str(target)!r}); import nnexp; print(nnexp.__file__, nnexp.__version__)"
    where, version = run(sys.executable, "-S", "-c", code, cwd=folder).split()
    assert Path(where).is_relative_to(target)
    assert version in wheel.name
    assert size <= MOST_MIB, f"{size:.0f} MiB are installed, more than {MOST_MIB}"
    print(f"installed: {size:.0f} MiB with all that it depends on, at most {MOST_MIB}")


def check_parent(folder):
    """Beside a clone that is called nnexp, `import nnexp` finds the package in it."""
    (folder / "nnexp").symlink_to(ROOT)
    code = "from nnexp import BackpropMLP; import nnexp; print(nnexp.__file__)"
    where = run(sys.executable, "-c", code, cwd=folder).strip()
    assert where.endswith("nnexp/__init__.py"), where
    print("beside the clone: found")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        run(sys.executable, "-m", "build", "--outdir", place / "dist", ROOT)
        (source,), (wheel,) = (place / "dist").glob("*.tar.gz"), (place / "dist").glob("*.whl")
        check_source(source)
        check_wheel(wheel)
        check_installed(wheel, place)
        check_parent(place)
