"""Trains in as many processes as it is started in, one training after the other: python several_processes.py SPECIFICATION

SPECIFICATION is a JSON file: `model`, `tokenizer` (folders), `trainings` (settings of AlignmentConfig by name, beside `num_groups`,
`resume`). The first process writes for each the weights and the log beside the file.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from aftune import AlignmentConfig, AlignmentTrainer
from small_groups import made_groups


def train(specification: dict[str, Any], folder: Path, name: str) -> None:
    settings = dict(specification["trainings"][name])
    groups = made_groups(settings.pop("num_groups", 16))
    resume = settings.pop("resume", None)
    model = AutoModelForCausalLM.from_pretrained(specification["model"], dtype=torch.float32, attn_implementation="eager")
    trainer = AlignmentTrainer(
        model,
        AlignmentConfig(output_dir=str(folder / name), **specification["common"], **settings),
        groups,
        AutoTokenizer.from_pretrained(specification["tokenizer"]),
    )

    trainer.train(resume_from_checkpoint=resume)
    if trainer.is_world_process_zero():
        weights = {
            key: value.contiguous().clone() for key, value in trainer.accelerator.unwrap_model(trainer.model).state_dict().items()
        }
        save_file(weights, folder / f"{name}.safetensors")
        (folder / f"{name}.json").write_text(json.dumps(trainer.state.log_history))


if __name__ == "__main__":
    path = Path(sys.argv[1])
    wanted = json.loads(path.read_text())
    torch.set_num_threads(1)
    for training in wanted["trainings"]:
        train(wanted, path.parent, training)
