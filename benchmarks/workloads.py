"""What the benchmarks train on: a model, and groups as token ids, in a folder that every contender reads.

Lengths are GSM8K's where its files are given (`--data FOLDER` with train.jsonl, test.jsonl and example_model_solutions.jsonl),
otherwise drawn around given means. Weights are random: their values affect neither time nor memory.
"""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.utils import logging

from aftune.common.data_files import read_rows
from aftune.interchange.importers import gsm8k_solutions, import_candidates
from aftune.prompts.encoding import EncodedGroup, Roles, encode_group
from aftune.prompts.prompter import Prompter
from aftune.recipe import ImportSection
from aftune.records import PUBLISHED_VERDICT, Feedback, Group
from aftune.tasks import build

logging.disable_progress_bar()  # that of saving the model
EOS, PAD = "<|endoftext|>", "<|pad|>"
VOCABULARY = 32_000


def llama_config(vocabulary: int = VOCABULARY, *, width: int = 384, layers: int = 7, context: int = 8192) -> LlamaConfig:
    """A Llama with heads of 64 and tied embeddings; about 25 million parameters as it stands."""
    return LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=width * 8 // 3,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        num_key_value_heads=width // 64,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=1,
    )


def plain_tokenizer(vocabulary: int) -> PreTrainedTokenizerBase:
    """A tokenizer of that many made-up words, for groups that were never text."""
    words = {word: index for index, word in enumerate([EOS, PAD, *(f"w{i}" for i in range(2, vocabulary))])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token=PAD))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=EOS, pad_token=PAD)


def gsm8k_tokenizer(data: Path, vocabulary: int = VOCABULARY) -> PreTrainedTokenizerBase:
    """Byte-level BPE with single digits, trained on all texts of GSM8K's files; at most `vocabulary` words."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[EOS, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(data), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=EOS, pad_token=PAD)


def gsm8k_groups(data: Path, tokenizer: PreTrainedTokenizerBase, num_groups: int, k: int) -> list[EncodedGroup]:
    """Groups over the whole test set, evenly spaced: question, reference and k published solutions.

    There are four solutions for a question, with their published verdicts; what is missing to k comes from the questions that
    follow, and is wrong. The reference belongs to both losses.
    """
    task = build("gsm8k", data=data)
    problems = task.load("test")
    section = ImportSection(format="gsm8k_solutions", path=data / "example_model_solutions.jsonl")
    by_problem: dict[str, list[Any]] = {}
    for candidate in import_candidates(section, None, problems).candidates:
        by_problem.setdefault(candidate.problem_id, []).append(candidate)
    prompter = Prompter(tokenizer, plain=task.prompt)
    groups = []
    for number in range(num_groups):
        start = number * len(problems) // num_groups
        problem = problems[start]
        candidates, feedback = [], []
        for offset in range(-(-k // 4)):
            for candidate in by_problem[problems[(start + offset) % len(problems)].id]:
                right = offset == 0 and candidate.settings[PUBLISHED_VERDICT]
                candidates.append(candidate)
                feedback.append(Feedback(quality=float(right), reason="published verdict"))
        group = Group(problem=problem, candidates=candidates[:k], feedback=feedback[:k])
        reference = task.reference_response(problem)
        groups.append(
            encode_group(tokenizer, group, prompter(problem), reference=reference, roles=Roles(reference_is_candidate=True))
        )
    return groups


def synthetic_groups(
    num_groups: int, k: int, *, prompt_tokens: int, response_tokens: int, vocabulary: int, spread: float = 0.0, seed: int = 0
) -> list[EncodedGroup]:
    """A reference and k candidates of random tokens, the candidates right and wrong in turn.

    Lengths lie between (1 - spread) and (1 + spread) times the given ones.
    """
    rng = random.Random(seed)

    def tokens(mean: int) -> list[int]:
        length = max(1, round(mean * (1 + spread * rng.uniform(-1, 1))))
        return [rng.randrange(2, vocabulary) for _ in range(length)]

    return [
        EncodedGroup(
            problem_id=str(number),
            prompt_ids=tokens(prompt_tokens),
            response_ids=[[*tokens(response_tokens - 1), 0] for _ in range(k + 1)],
            in_sft=[True] + [False] * k,
            qualities=[1.0, *(float(i % 2 == 0) for i in range(k))],
        )
        for number in range(num_groups)
    ]


def with_prompts_of(groups: Sequence[EncodedGroup], prompt_tokens: int, vocabulary: int) -> list[EncodedGroup]:
    """The same groups behind random prompts of that length."""
    prompts = synthetic_groups(len(groups), 0, prompt_tokens=prompt_tokens, response_tokens=1, vocabulary=vocabulary)
    return [
        EncodedGroup(group.problem_id, prompt.prompt_ids, group.response_ids, group.in_sft, group.qualities)
        for group, prompt in zip(groups, prompts, strict=True)
    ]


def save(
    folder: Path, config: LlamaConfig, tokenizer: PreTrainedTokenizerBase, groups: Sequence[EncodedGroup], real: Path | None = None
) -> int:
    """Writes `model/`, with random weights or those of a real model, and `groups.jsonl`; returns the number of parameters."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(config) if real is None else LlamaForCausalLM.from_pretrained(real, dtype=torch.float32)
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    (folder / "groups.jsonl").write_text("".join(json.dumps(asdict(group)) + "\n" for group in groups))
    return int(model.num_parameters())


def load_groups(folder: Path) -> list[EncodedGroup]:
    return [EncodedGroup(**json.loads(line)) for line in (folder / "groups.jsonl").read_text().splitlines()]


def response_tokens(groups: Sequence[EncodedGroup]) -> int:
    return sum(len(ids) for group in groups for ids in group.response_ids)


def model_flops(config: LlamaConfig, groups: Sequence[EncodedGroup], *, detached: bool = False) -> float:
    """Floating-point operations that one training step on these groups needs, however it is computed.

    Each prompt and each response counts once: 6 operations per parameter and token in the body, 6 per parameter of the head at
    each predicted token (prompts predict nothing), and 12 x width x layers for each pair of a token and one that it attends
    to (causal). Where the constraint detaches worse responses, those in no other pair and not in the VFT loss need no
    backward pass and count a third.
    """
    width, layers = config.hidden_size, config.num_hidden_layers
    body = layers * (4 * width * width + 3 * width * config.intermediate_size)

    def segment(start: int, length: int) -> float:
        attended = length * start + length * (length + 1) / 2
        return 6.0 * body * length + 12.0 * width * layers * attended

    total = 0.0
    for group in groups:
        num_prompt = len(group.prompt_ids)
        known = [quality for quality in group.qualities if quality is not None]
        total += segment(0, num_prompt)
        for ids, in_sft, quality in zip(group.response_ids, group.in_sft, group.qualities, strict=True):
            is_better = quality is not None and quality > min(known)
            share = 1.0 if in_sft or is_better or not detached else 1 / 3
            total += share * (segment(num_prompt, len(ids)) + 6.0 * width * config.vocab_size * len(ids))
    return total


def describe(groups: Sequence[EncodedGroup], num_parameters: int) -> str:
    prompts = sum(len(group.prompt_ids) for group in groups)
    responses = sum(len(group.response_ids) for group in groups)
    longest = max(len(group.prompt_ids) + max(map(len, group.response_ids)) for group in groups)
    return (
        f"{num_parameters:,} parameters; {len(groups)} groups, {responses} responses, on average {prompts / len(groups):.0f} "
        f"tokens per prompt and {response_tokens(groups) / responses:.0f} per response, longest sequence {longest:,}"
    )


def _texts(data: Path) -> Iterator[str]:
    for name in ("train.jsonl", "test.jsonl"):
        for _, row in read_rows(data / name):
            yield from (row["question"], row["answer"])
    for _, row in read_rows(data / "example_model_solutions.jsonl"):
        yield from (row[kind]["solution"] for kind in gsm8k_solutions.KINDS)
