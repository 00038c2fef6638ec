"""The workflow of continuous integration calls what there is."""

import re
from pathlib import Path

from aftune.common.yaml_text import parse_yaml

ROOT = Path(__file__).parents[1]


def test_the_workflow_is_yaml_and_its_targets_exist() -> None:
    jobs = parse_yaml((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))["jobs"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    wanted = {target for command in commands for target in re.findall(r"\bmake ([\w-]+)", command)}
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert wanted == {"test", "test-lowest", "dist", "docs"}
    assert wanted <= targets
