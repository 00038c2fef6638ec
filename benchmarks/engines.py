"""Response tokens per second of each engine on the same GSM8K prompts, beside `model.generate(num_return_sequences=k)`.

    python benchmarks/engines.py MODEL --data FOLDER --engines transformers generate ray:1 ray:2
    python benchmarks/engines.py MODEL --data FOLDER --engines vllm                               # where vLLM is installed
    python benchmarks/engines.py MODEL --data FOLDER --engines openai --base-url http://localhost:8000/v1

MODEL is a folder with a chat template, FOLDER has GSM8K's train.jsonl. Each engine starts, answers one question so that everything
is loaded, then draws `--candidates` responses to `--problems` questions, `--rows` at once, in `--rounds` rounds with other seeds.
Engines take turns only within a command, so compare those of one command; a server runs beside it and has its own cores.
A token is one of the model's tokenizer, the end included, whoever drew it.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import torch

from aftune.common.process import keep_freed_memory
from aftune.pipeline.context import Context
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.pipeline.engines import engine_of
from aftune.recipe import EngineSection, recipe_from
from aftune.records import Problem
from aftune.sampling import Request, SamplingSettings
from aftune.sampling.interface import Completion, Engine


class Generate:
    """transformers' own `generate`: prompts of a batch are padded to the longest, and it goes on until its last row ends."""

    def __init__(self, context: Context, num_candidates: int, rows: int) -> None:
        self.model, self.tokenizer = context.load_policy("base"), context.tokenizer
        self.num_candidates, self.rows = num_candidates, rows

    @torch.inference_mode()
    def complete(self, requests: Sequence[Request], settings: SamplingSettings) -> Iterator[tuple[int, Completion]]:
        torch.manual_seed(requests[0].seed)
        k = self.num_candidates
        prompts = [request.prompt for request in requests[::k]]
        for start in range(0, len(prompts), self.rows // k):
            inputs = self.tokenizer.pad(
                {"input_ids": prompts[start : start + self.rows // k]}, padding_side="left", return_tensors="pt"
            )
            output = self.model.generate(
                **inputs,
                do_sample=True,
                num_return_sequences=k,
                temperature=settings.temperature,
                top_k=0,
                top_p=1.0,
                max_new_tokens=settings.max_new_tokens,
            )
            for place, row in enumerate(output[:, inputs["input_ids"].shape[1] :].tolist()):
                text = self.tokenizer.decode(row, skip_special_tokens=True)
                end = next((at for at, token in enumerate(row) if token in self.tokenizer.all_special_ids), None)
                ids = row if end is None else row[:end]
                yield start * k + place, Completion(ids, text, "length" if end is None else "stop")


@contextmanager
def started(context: Context, name: str, options: argparse.Namespace) -> Iterator[Any]:
    if name == "generate":
        yield Generate(context, options.candidates, options.rows)
        return
    kind, _, workers = name.partition(":")
    engine: dict[str, Any] = {"kind": kind}
    if kind == "ray":
        engine["workers"] = int(workers or 1)
    if kind == "openai":
        engine |= {"base_url": options.base_url, "concurrency": options.rows}
    section = context.recipe.sample.model_copy(update={"engine": EngineSection.model_validate(engine)})
    with engine_of(context, "base", section, options.candidates) as made:
        yield made


def requests_for(context: Context, problems: Sequence[Problem], num_candidates: int, seed: int) -> list[Request]:
    return [
        Request(context.prompter(problem), seed * 10_000 + index, problem.id, context.prompter.conversation(problem))
        for problem in problems
        for index in range(num_candidates)
    ]


def num_tokens(context: Context, completion: Completion) -> int:
    ids = completion.token_ids
    if ids is None:
        ids = context.tokenizer(completion.text, add_special_tokens=False)["input_ids"]
    return len(ids) + (completion.finish_reason == "stop")


def speed(context: Context, engine: Engine | Generate, problems: Sequence[Problem], k: int, seed: int) -> tuple[float, int]:
    """Response tokens per second, and how many there were."""
    requests = requests_for(context, problems, k, seed)
    settings = context.settings(context.recipe.sample, problems)
    began = time.perf_counter()
    completions = dict(engine.complete(requests, settings))
    seconds = time.perf_counter() - began
    assert sorted(completions) == list(range(len(requests)))
    total = sum(num_tokens(context, completion) for completion in completions.values())
    return total / seconds, total


def _make_room(workers: Sequence[int]) -> None:
    """A local cluster for all Ray engines of the command at once, of which only one works at a time."""
    if workers:
        import ray

        ray.init(address="local", num_cpus=sum(workers), include_dashboard=False, log_to_driver=False, logging_level="error")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--engines", nargs="+", default=["transformers", "generate"])
    parser.add_argument("--base-url")
    parser.add_argument("--problems", type=int, default=16)
    parser.add_argument("--candidates", type=int, default=4)
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--max-new-tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    options = parser.parse_args()
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        recipe = recipe_from(
            {
                "run_dir": folder,
                "data": str(options.data),
                "model": {"name": str(options.model), "precision": options.precision},
                "task": {"name": "gsm8k"},
                "prompt": {"style": "chat"},
                "sample": {"max_new_tokens": options.max_new_tokens, "batch_size": options.rows},
            },
            [],
            "benchmarks/engines.py",
        )
        context = Context(recipe, RunDirectory(Path(folder)))
        problems = list(islice(context.task.stream("train"), options.problems))
        _make_room([int(name.partition(":")[2] or 1) for name in options.engines if name.startswith("ray")])
        engines = {}
        for name in options.engines:
            began = time.perf_counter()
            engines[name] = running.enter_context(started(context, name, options))
            speed(context, engines[name], problems[:1], options.candidates, 0)
            print(f"{name}: ready after {time.perf_counter() - began:.0f} s", flush=True)
        found: dict[str, list[float]] = {name: [] for name in engines}
        for number in range(1, options.rounds + 1):
            for name, engine in engines.items():
                per_second, total = speed(context, engine, problems, options.candidates, number)
                found[name].append(per_second)
                print(f"round {number} {name:<14} {per_second:7.0f} tokens/s ({total:,} tokens)", flush=True)
    first = options.engines[0]
    for name, speeds in found.items():
        ratios = [one / other for one, other in zip(speeds, found[first], strict=True)]
        print(
            f"{name:<14} {median(speeds):7.0f} tokens/s, {median(ratios):.2f} times {first} "
            f"({min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
