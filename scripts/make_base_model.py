"""Makes the base model that ships with aftune: a tokenizer and a small Llama, from generated text only.

    python scripts/make_base_model.py --out src/aftune/assets/base        (an estimated 25 minutes)

The text is equations, stories and solved problems of one to three operations, so that the model has the
skill that the `arithmetic` task asks for without being reliable at it. At the end the model's greedy accuracy is printed by
number of operations. The same seed on the same machine and number of threads gives the same file.
"""

import argparse
import random
from pathlib import Path

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, Trainer, TrainingArguments

from aftune.tasks import arithmetic

BOS, EOS, PAD = "<s>", "</s>", "<pad>"
PROMPT = arithmetic.Arithmetic.prompt_template
# Number of operations of the solved problems: none has four or five, which leaves fine-tuning something to teach.
OPERATIONS_WEIGHTS = {1: 0.22, 2: 0.36, 3: 0.42}


def equations(rng: random.Random, count: int = 12) -> str:
    """Lines such as `14+28=42`, with the operand sizes that the stories have."""
    lines = []
    for _ in range(count):
        kind = rng.choices("+-*m/s", weights=(3, 3, 2, 1, 1, 3))[0]
        if kind == "+":
            a, b = rng.randint(2, 200), rng.randint(2, 90)
            lines.append(f"{a}+{b}={a + b}")
        elif kind == "-":
            a, b = rng.randint(3, 300), rng.randint(2, 90)
            lines.append(f"{max(a, b + 1)}-{b}={max(a, b + 1) - b}")
        elif kind == "*":
            a, b = rng.randint(2, 9), rng.randint(2, 9)
            lines.append(f"{a}*{b}={a * b}")
        elif kind == "m":
            a, b = rng.randint(2, 200), rng.randint(2, 5)
            lines.append(f"{a}*{b}={a * b}" if rng.random() < 0.7 else f"{b}*{a}={a * b}")
        elif kind == "/":
            a, b = rng.randint(2, 60), rng.randint(2, 9)
            lines.append(f"{a * b}/{b}={a}")
        else:
            total, text = rng.randint(5, 60), ""
            text = str(total)
            for _ in range(rng.choice((2, 2, 3, 4))):
                n = rng.randint(2, 50)
                sign = 1 if total - n < 1 or rng.random() < 0.55 else -1
                total += sign * n
                text += ("+" if sign > 0 else "-") + str(n)
            lines.append(f"{text}={total}")
    return "\n".join(lines)


def solved_problem(rng: random.Random) -> tuple[str, str]:
    """A prompt and a right response, in a random order of reasoning."""
    num_operations = rng.choices(list(OPERATIONS_WEIGHTS), weights=list(OPERATIONS_WEIGHTS.values()))[0]
    story = arithmetic.make_story(rng, num_operations)
    return PROMPT.format(question=story.question), arithmetic.random_solution(rng, story)


def document(rng: random.Random) -> str:
    if rng.random() < 0.2:
        return equations(rng)
    return "".join(solved_problem(rng))


def make_tokenizer(seed: int, vocab_size: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE, single digits: every text can be encoded, every number is a row of digits."""
    rng = random.Random(f"tokenizer/{seed}")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\d| ?\p{L}+| ?[^\s\p{L}\d]|\s"), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, BOS, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((document(rng) for _ in range(20_000)), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        padding_side="left",
        model_max_length=1024,
        clean_up_tokenization_spaces=False,
    )


class Blocks(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    """Documents joined end to end and cut into rows of equal length."""

    def __init__(self, ids: np.ndarray, length: int) -> None:
        self.ids_N_T = ids[: len(ids) // length * length].reshape(-1, length)

    def __len__(self) -> int:
        return len(self.ids_N_T)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        row = torch.from_numpy(self.ids_N_T[index].astype(np.int64))
        return {"input_ids": row, "labels": row}


def make_blocks(tokenizer: PreTrainedTokenizerFast, seed: int, num_documents: int, length: int) -> Blocks:
    rng = random.Random(f"corpus/{seed}")
    parts = []
    for start in range(0, num_documents, 20_000):
        texts = [document(rng) for _ in range(min(20_000, num_documents - start))]
        for ids in tokenizer(texts)["input_ids"]:
            parts.append(np.asarray([*ids, tokenizer.eos_token_id], dtype=np.uint16))
    return Blocks(np.concatenate(parts), length)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--num-documents", type=int, default=250_000)
    parser.add_argument("--width", type=int, default=160)
    parser.add_argument("--num-layers", type=int, default=4)
    parser.add_argument("--vocab-size", type=int, default=768)
    parser.add_argument("--row-length", type=int, default=160, help="tokens")
    parser.add_argument("--batch-size", type=int, default=32, help="rows")
    parser.add_argument("--learning-rate", type=float, default=2.5e-3)
    parser.add_argument("--num-threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.num_threads)
    torch.manual_seed(args.seed)

    tokenizer = make_tokenizer(args.seed, args.vocab_size)
    blocks = make_blocks(tokenizer, args.seed, args.num_documents, args.row_length)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=args.width,
            intermediate_size=args.width * 14 // 5,
            num_hidden_layers=args.num_layers,
            num_attention_heads=args.width // 40,
            num_key_value_heads=args.width // 40,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            attn_implementation="eager",  # faster than sdpa at 160 tokens on a CPU
        )
    )
    print(
        f"{model.num_parameters():,} parameters, {len(tokenizer)} tokens, {len(blocks):,} rows of {args.row_length} tokens",
        flush=True,
    )
    Trainer(
        model=model,
        train_dataset=blocks,
        args=TrainingArguments(
            output_dir=str(args.out),
            per_device_train_batch_size=args.batch_size,
            learning_rate=args.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=300,
            weight_decay=0.05,
            adam_beta2=0.98,
            num_train_epochs=1,
            bf16=True,
            use_cpu=True,
            save_strategy="no",
            report_to="none",
            logging_steps=200,
            disable_tqdm=True,
            seed=args.seed,
        ),
    ).train()
    model.config._attn_implementation = "sdpa"
    model.config.use_cache = True  # the Trainer switches it off
    model.to(torch.bfloat16).save_pretrained(args.out)
    tokenizer.save_pretrained(args.out)
    print_accuracy(args.out, args.seed)


def print_accuracy(folder: Path, seed: int, num_problems: int = 200) -> None:
    """Greedy accuracy by number of operations, on problems that no training text was made from."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    for num_operations in range(1, 6):
        rng = random.Random(f"accuracy/{seed}/{num_operations}")
        stories = [arithmetic.make_story(rng, num_operations) for _ in range(num_problems)]
        prompts = [PROMPT.format(question=story.question) for story in stories]
        batch = tokenizer(prompts, return_tensors="pt", padding=True, return_token_type_ids=False)
        output = model.generate(**batch, do_sample=False, max_new_tokens=160)
        texts = tokenizer.batch_decode(output[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
        num_right = sum(text.endswith(f"#### {story.answer}") for text, story in zip(texts, stories, strict=True))
        operations = "1 operation" if num_operations == 1 else f"{num_operations} operations"
        print(f"{operations}: {100 * num_right / num_problems:.1f} % of {num_problems}", flush=True)


if __name__ == "__main__":
    main()
