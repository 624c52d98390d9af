"""The README's Python runs as it stands, block after block, without a warning."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"


@pytest.mark.slow
def test_the_blocks_of_the_readme_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) >= 6
    names = {}
    for block in blocks:
        if "load_results" not in block:  # that of the demo's results
            exec(compile(block, str(README), "exec"), names)
    assert (tmp_path / "model.nnexp").exists()
    assert "training" in capsys.readouterr().out


@pytest.mark.slow
def test_the_sweep_of_the_readme_runs(tmp_path):
    from nnexp.cli import main

    (block,) = [own for own in re.findall(r"```toml\n(.*?)```", README.read_text(), re.DOTALL) if "[sweep]" in own]
    path = tmp_path / "readme.toml"
    path.write_text(f'question = "Does it run?"\n[data.iris]\n{block}')
    arguments = ["sweep", str(path), "--quick", "--workers", "1", "--results", str(tmp_path)]
    assert main(arguments) == 0
