"""Stage `measure`: which model a method's metrics are of."""

import json
from pathlib import Path
from typing import Any

import small_comparison
from aftune.pipeline.compare import runs
from aftune.pipeline.directory.run_directory import RunDirectory


def test_the_model_is_the_one_that_the_manifest_names(comparison: Any, tmp_path: Path) -> None:
    """A folder that somebody left where a training stage would have its own is no model of VFT's."""
    folder = comparison.clone(tmp_path / "c", ["vft"])
    own = folder / "seed-0" / "methods" / "vft"
    before = json.loads((own / "measure" / "metrics.json").read_text())
    manifest = RunDirectory(own).manifest()
    del manifest["stages"]["measure"]
    (own / "manifest.json").write_text(json.dumps(manifest))
    (own / "control" / "model").mkdir(parents=True)
    wanted = runs.comparison(small_comparison.recipe(folder), ["vft"])
    assert runs.run(wanted, 1, lambda line: None) == []
    assert json.loads((own / "measure" / "metrics.json").read_text()) == before
