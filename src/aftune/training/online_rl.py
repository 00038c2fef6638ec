"""Online reinforcement learning, to compare with: GRPO and RLOO by TRL's trainers, with the prompts and the sampling of a run.

Advantages, losses and steps are TRL's. What a run fixes for all its methods is given to the trainer instead: prompts as token ids,
responses sampled as everywhere else, and batches that ask every problem equally often, the last one shorter if it has to be.
"""

import logging
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch.utils.data import DataLoader
from transformers import TrainerCallback
from transformers.trainer_callback import ExportableState

from aftune.common.extras import needed
from aftune.common.seeds import derive_seed
from aftune.training.schedule import warm_from_the_first_step

# Prompts of problems, by their places. Responses to prompts of problems (a place for each response, those of a problem together) at
# an optimizer step, each with the token that ends it. Rewards of such responses: None where there is no verdict.
Prompt = Callable[[int], list[int]]
Respond = Callable[[Sequence[int], int], list[list[int]]]
Reward = Callable[[Sequence[int], Sequence[str]], list[float | None]]


@dataclass(frozen=True)
class Batches:
    """The places of the problems of each step, `num_responses` times each: every problem once an epoch, in random order.

    passes: a step is computed in so many passes, and TRL's trainer takes its batch from the loader for each of them. A whole number
    of passes to a response makes passes of equal size, whatever the number of problems.
    """

    num_problems: int
    batch_size: int
    num_responses: int
    passes: int
    num_epochs: int
    seed: int

    def __len__(self) -> int:
        return self.num_steps * self.passes

    @property
    def num_steps(self) -> int:
        return self.num_epochs * -(-self.num_problems // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        for epoch in range(self.num_epochs):
            order = list(range(self.num_problems))
            random.Random(derive_seed(self.seed, "online", epoch)).shuffle(order)
            for start in range(0, self.num_problems, self.batch_size):
                batch = [place for place in order[start : start + self.batch_size] for _ in range(self.num_responses)]
                yield from [batch] * self.passes


class Tally(TrainerCallback, ExportableState):
    """Counts what was sampled, over interruptions too: a checkpoint keeps it."""

    def __init__(self) -> None:
        self.num_responses = 0
        self.num_tokens = 0

    def state(self) -> dict[str, Any]:
        return {"args": {}, "attributes": {"num_responses": self.num_responses, "num_tokens": self.num_tokens}}


class OwnSampling:
    """What a trainer of TRL does not do itself here; it stands before GRPOTrainer or RLOOTrainer."""

    prompt: Prompt
    respond: Respond
    batches: Batches
    callback_handler: Any
    train_dataset: Any
    data_collator: Any
    accelerator: Any
    model: Any
    state: Any
    args: Any
    lr_scheduler: Any
    _name: str

    @property
    def tally(self) -> Tally:
        """A trainer that continues from a checkpoint makes its callbacks anew."""
        return next(callback for callback in self.callback_handler.callbacks if isinstance(callback, Tally))

    def get_train_dataloader(self) -> Any:
        return self.accelerator.prepare(DataLoader(self.train_dataset, batch_sampler=self.batches, collate_fn=self.data_collator))

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """The schedule of transformers, except for its warm-up (aftune.training.schedule)."""
        if self.lr_scheduler is None:
            schedule = super().create_scheduler(num_training_steps, optimizer)  # type: ignore[misc]
            self.lr_scheduler = warm_from_the_first_step(schedule, self.args.get_warmup_steps(num_training_steps))
        return self.lr_scheduler

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """A run makes its own."""

    def _send_telemetry(self) -> None:
        """A run tells nobody of itself."""

    def _tokenize_prompts(self, prompts: Sequence[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
        self._places = list(map(int, prompts))
        return list(map(self.prompt, self._places)), None, {}

    def _generate_single_turn(self, prompt_ids: list[list[int]], *args: Any, **kwargs: Any) -> Any:
        self.model.eval()
        responses = self.respond(self._places, self.state.global_step)
        self.model.train()
        self.tally.num_responses += len(responses)
        self.tally.num_tokens += sum(map(len, responses))
        return (responses, None) if self._name == "GRPO" else responses  # GRPO's asks for log-probabilities of an engine too


def online_trainer(
    algorithm: str,
    model: Any,
    tokenizer: Any,
    batches: Batches,
    *,
    prompt: Prompt,
    respond: Respond,
    reward: Reward,
    callbacks: Sequence[TrainerCallback],
    **settings: Any,
) -> Any:
    """TRL's trainer for an algorithm, `grpo` or `rloo`. settings: of its `GRPOConfig` or `RLOOConfig`.

    Raises UsageError where TRL is not installed.
    """
    needed("trl", extra="trl", purpose=f"training by {algorithm.upper()}")
    logging.getLogger("trl").setLevel(logging.ERROR)  # it warns of each response without a reward
    import trl
    from datasets import Dataset

    def verdict(prompts: Sequence[str], completions: Sequence[str], **other: Any) -> list[float | None]:
        return reward(list(map(int, prompts)), completions)

    kind, config = {"grpo": (trl.GRPOTrainer, trl.GRPOConfig), "rloo": (trl.RLOOTrainer, trl.RLOOConfig)}[algorithm]
    args = config(
        num_train_epochs=1,  # of the batches, which know their epochs
        per_device_train_batch_size=batches.batch_size * batches.num_responses // batches.passes,
        gradient_accumulation_steps=batches.passes,
        num_generations=batches.num_responses,
        dataloader_pin_memory=False,
        **settings,
    )
    args._n_gpu = min(args.n_gpu, 1)  # one process uses one, however many it sees
    own = {"prompt": staticmethod(prompt), "respond": staticmethod(respond), "batches": batches}
    return type(f"Own{kind.__name__}", (OwnSampling, kind), own)(
        model=model,
        reward_funcs=verdict,
        args=args,
        train_dataset=Dataset.from_dict({"prompt": [str(place) for place in range(batches.num_problems)]}),
        processing_class=tokenizer,
        callbacks=[*callbacks, Tally()],
    )
