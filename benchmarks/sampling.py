"""Tokens per second of the sampling engine against `model.generate(num_return_sequences=k, do_sample=True)`.

    python benchmarks/sampling.py --data FOLDER     the folder with GSM8K's train.jsonl

A Llama (or, with `--family`, a model with layers that keep a state) of some 25 million random weights with a vocabulary of 32,000
gets GSM8K's questions, in the tokens of a BPE tokenizer that is trained on GSM8K on the spot, and draws k = 8 responses to each at
temperature 1. Random weights never end a response, so each one ends at a length given in advance, that of a reference answer of
GSM8K drawn for it: `generate` is made to draw the end token there by a LogitsProcessor, the engine's row has just that much room;
no row ends earlier. Both work on `--rows` sequences at once, in the order of the prompts' lengths, which spares `generate` padding.

The two take turns in one process. It prints the response tokens per second of each round, and the median of their ratios.
Peak memory is that of the process after each, so only the first line of each kind says something.
"""

import argparse
import json
import random
import resource
import time
from pathlib import Path
from statistics import median

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, LogitsProcessor, LogitsProcessorList, PreTrainedModel

from aftune.common.process import keep_freed_memory
from aftune.sampling import Request, SamplingSettings
from aftune.sampling.transformers.decoding import DecodingLoop
from aftune.sampling.transformers.rows import Job
from aftune.sampling.transformers.stops import Stops

VOCABULARY = 32_000
END = 0
HEADS = {"num_attention_heads": 6, "num_key_value_heads": 6, "head_dim": 64}
FAMILIES = {
    "Llama": HEADS,
    "Qwen3_5Text": HEADS  # three layers of the gated delta rule to one of attention
    | {f"linear_{name}": size for name, size in {"num_key_heads": 3, "num_value_heads": 6}.items()}
    | {"linear_key_head_dim": 64, "linear_value_head_dim": 64},
    "Lfm2": HEADS | {"layer_types": ["conv", "conv", "full_attention"] * 2},
    "FalconH1": HEADS | {"mamba_d_ssm": 384, "mamba_n_heads": 6, "mamba_d_head": 64, "mamba_d_state": 64},
}


class EndAtLength(LogitsProcessor):
    """Row i draws the end token as its token number `lengths[i]`, and never before."""

    def __init__(self, lengths: list[int], prompt_length: int) -> None:
        self.last_N = torch.tensor(lengths) + prompt_length - 1

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        scores[:, END] = -torch.inf
        ending_N = (self.last_N == input_ids.shape[1]).nonzero().flatten()
        scores[ending_N] = -torch.inf
        scores[ending_N, END] = 0.0
        return scores


def with_generate(model: PreTrainedModel, prompts: list[list[int]], lengths: list[list[int]], rows: int) -> None:
    k = len(lengths[0])
    for start in range(0, len(prompts), rows // k):
        part = prompts[start : start + rows // k]
        part_lengths = [length for row in lengths[start : start + rows // k] for length in row]
        longest = max(map(len, part))
        output = model.generate(
            input_ids=torch.tensor([[END] * (longest - len(prompt)) + prompt for prompt in part]),
            attention_mask=torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in part]),
            do_sample=True,
            num_return_sequences=k,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            max_new_tokens=max(part_lengths),
            eos_token_id=END,
            pad_token_id=END,
            logits_processor=LogitsProcessorList([EndAtLength(part_lengths, longest)]),
        )
        assert output.shape[1] == longest + max(part_lengths)


@torch.inference_mode()
def with_engine(model: PreTrainedModel, prompts: list[list[int]], lengths: list[list[int]], rows: int) -> None:
    requests = [Request(prompt, seed) for prompt, row in zip(prompts, lengths, strict=True) for seed, _ in enumerate(row)]
    room = [length for row in lengths for length in row]
    loop = DecodingLoop(model, Job(requests, room, SamplingSettings(max(room)), Stops(frozenset()), rows))
    finished = {index: ids for index, ids, _ in loop.run()}
    assert [len(finished[index]) for index in range(len(room))] == room


def gsm8k(folder: Path, num_problems: int, k: int) -> tuple[list[list[int]], list[list[int]]]:
    """Prompts as token ids, longest first, and the lengths of k reference answers for each, end token included."""
    records = [json.loads(line) for line in (folder / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=["</s>"], show_progress=False)
    tokenizer.train_from_iterator((text for record in records for text in (record["question"], record["answer"])), trainer)
    chosen = random.Random(0).sample(records, num_problems * (k + 1))
    prompts = [tokenizer.encode(f"Question: {record['question']}\nAnswer: ").ids for record in chosen[:num_problems]]
    answers = [len(tokenizer.encode(record["answer"]).ids) + 1 for record in chosen[num_problems:]]
    prompts.sort(key=lambda prompt: -len(prompt))
    return prompts, [answers[start : start + k] for start in range(0, len(answers), k)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with GSM8K's train.jsonl")
    parser.add_argument("--problems", type=int, default=24)
    parser.add_argument("--rows", type=int, default=64, help="sequences at once")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--attention", choices=("sdpa", "eager"), default="sdpa")
    parser.add_argument("--family", choices=FAMILIES, default="Llama")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--cpu-time", action="store_true", help="count the process's CPU seconds: for one thread on a busy machine")
    options = parser.parse_args()
    clock = time.process_time if options.cpu_time else time.perf_counter
    keep_freed_memory()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    config = getattr(transformers, f"{options.family}Config")(
        vocab_size=VOCABULARY,
        hidden_size=384,
        intermediate_size=1344,
        num_hidden_layers=6,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        attn_implementation=options.attention,
        **FAMILIES[options.family],
    )
    model = AutoModelForCausalLM.from_config(config).eval()
    prompts, lengths = gsm8k(options.data, options.problems, 8)
    num_tokens = sum(map(sum, lengths))
    mean_prompt = sum(map(len, prompts)) / len(prompts)
    print(
        f"{options.family}, {model.num_parameters() / 1e6:.1f} M parameters, "
        f"{len(prompts)} prompts of {mean_prompt:.0f} tokens, 8 responses each of "
        f"{num_tokens / len(prompts) / 8:.0f} (longest {max(map(max, lengths))}), {options.rows} rows at once, "
        f"{options.threads} threads, {options.attention}",
        flush=True,
    )
    for dtype in options.dtypes:
        model = model.to(getattr(torch, dtype))
        ratios = []
        for turn in range(options.rounds):
            speeds = {}
            # The engine goes first, so that what it adds to the process's peak memory is seen.
            for name, run in (("engine", with_engine), ("generate", with_generate)):
                started = clock()
                run(model, prompts, lengths, options.rows)
                speeds[name] = num_tokens / (clock() - started)
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                print(f"{dtype} round {turn + 1} {name:8}: {speeds[name]:6.0f} tokens/s, peak memory {peak:.0f} MiB", flush=True)
            ratios.append(speeds["engine"] / speeds["generate"])
        print(f"{dtype}: median ratio {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})", flush=True)


if __name__ == "__main__":
    main()
