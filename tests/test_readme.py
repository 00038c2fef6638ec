"""What the README shows is what the code does."""

import re
import subprocess
import sys
from pathlib import Path

from transformers import AutoModelForCausalLM

from aftune.models.loading import resolve
from aftune.pipeline.registry import enabled_stages
from aftune.recipe import Recipe

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_python_example_trains_and_saves(tmp_path: Path) -> None:
    """The example as it stands, with the bundled model for the one on the Hub."""
    (program,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    name = re.search(r'name = "([^"]+)"', program)
    assert name is not None
    local = program.replace(name[1], resolve("bundled"))
    subprocess.run([sys.executable, "-c", local], check=True, cwd=tmp_path, timeout=120)
    before = AutoModelForCausalLM.from_pretrained(resolve("bundled"), dtype="float32").state_dict()
    after = AutoModelForCausalLM.from_pretrained(tmp_path / "aligned", dtype="float32").state_dict()
    moved = sum(int((tensor != before[key]).sum()) for key, tensor in after.items())
    assert moved / sum(tensor.numel() for tensor in after.values()) > 0.75  # 0.17 where updates are rounded away


def test_every_stage_is_in_the_table() -> None:
    names = [stage.name for stage in enabled_stages(Recipe(run_dir=Path("runs")))]
    assert re.findall(r"^\| `(\w+)` \|", README, flags=re.MULTILINE)[: len(names)] == names
