"""Which checkpoint a stage continues from."""

from pathlib import Path

import pytest

from aftune.common.errors import UsageError
from aftune.pipeline.checkpoints import last_checkpoint
from aftune.recipe import LaunchSection


def checkpoint(folder: Path, step: int, *, state: str = "{}", inside: str = "model.safetensors", processes: int = 2) -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir()
    (path / "trainer_state.json").write_text(state)
    (path / inside).touch()
    for process in range(processes):
        (path / f"rng_state_{process}.pth").touch()
    return path


def test_the_newest_complete_one_by_any_number_of_processes(tmp_path: Path) -> None:
    good = checkpoint(tmp_path, 9)
    half_written = checkpoint(tmp_path, 10, state='{"step')
    assert last_checkpoint(tmp_path, LaunchSection()) == str(good)
    assert not half_written.exists()
    assert last_checkpoint(tmp_path / "none", LaunchSection()) is None


@pytest.mark.parametrize(("inside", "made_with"), [("pytorch_model_fsdp_0", "fsdp"), ("global_step4", "zero2")])
def test_one_that_was_shared_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: str, made_with: str) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    path = checkpoint(tmp_path, 4, inside=inside)
    assert last_checkpoint(tmp_path, LaunchSection(sharding=made_with)) == str(path)  # type: ignore[arg-type]
    with pytest.raises(UsageError) as caught:
        last_checkpoint(tmp_path, LaunchSection())
    assert str(caught.value) == (
        f"{path}: was made with launch.sharding={made_with} and cannot be read with none; set it back, "
        f"or remove {tmp_path} to begin the stage anew"
    )


def test_one_of_deepspeed_by_another_number_of_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    path = checkpoint(tmp_path, 4, inside="global_step4")
    with pytest.raises(UsageError) as caught:
        last_checkpoint(tmp_path, LaunchSection(sharding="zero2"))
    assert str(caught.value) == (
        f"{path}: was made by 2 processes with launch.sharding=zero2 and cannot be read by 4; start 2, "
        f"or remove {tmp_path} to begin the stage anew"
    )
