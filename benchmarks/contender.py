"""One contender in a process of its own: trains one optimizer step whenever its parent asks for it.

Parent and child speak JSON lines. The child loads the workload, trains on a single group to warm up, says that it is ready, and
then times each step: loading the batch, forward, backward, optimizer. Its AdamW is the same object in the warm-up and in
the timed steps. Needs Linux for the memory figures.
"""

import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

NAMES = (
    *("aftune", "aftune-detached", "aftune-recomputed", "padded", "dpo", "dpo-padding-free", "dpo-liger"),
    *("aftune-lora", "dpo-lora", "matmul"),
)
SIZES = (1024, 2048, 4096)  # of the square matrices of "matmul"


@dataclass(frozen=True)
class Settings:
    """How a contender trains.

    keep_memory: whether freed memory stays with the process (`aftune.common.process`); as people run them: yes for aftune, whose
    command line does it, no for the peers. micro_batch: groups for `padded`, pairs for `dpo`; aftune uses token_budget, None for
    its default. checkpointing: whether aftune computes activations again in the backward pass. aftune-recomputed: keeps no logits.
    """

    name: str
    precision: str = "float32"
    threads: int = 2
    steps: int = 1
    warm_up: bool = True
    keep_memory: bool = False
    micro_batch: int = 1
    token_budget: int | None = None
    checkpointing: bool = False

    @property
    def title(self) -> str:
        is_peer = not self.name.startswith("aftune")
        return self.name + (", memory kept" if self.keep_memory and is_peer else "")


@dataclass(frozen=True)
class Step:
    """Seconds of one optimizer step and bytes of resident memory: at its start, and the most so far. `flops`: for matmul only."""

    seconds: float
    memory_before: int
    memory_peak: int
    flops: float = 0.0


class NotRunError(Exception):
    """The contender cannot run here; the text says why."""


class Contender:
    """The parent's side. Use it as a context manager; raises NotRunError where the child gives up."""

    def __init__(self, workload: Path, settings: Settings) -> None:
        self.settings = settings
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(workload), json.dumps(asdict(settings))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(settings.threads), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
        )
        try:
            self._read()
        except NotRunError:
            self.close()
            raise

    def __enter__(self) -> "Contender":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def step(self) -> Step:
        assert self._process.stdin is not None
        self._process.stdin.write("step\n")
        self._process.stdin.flush()
        return Step(**self._read())

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._errors.close()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            last = [text for text in self._errors.read().splitlines() if text.strip()][-1:]
            reason = last[0] if last else f"ended with status {self._process.wait()}"
            raise NotRunError(reason)
        answer: dict[str, Any] = json.loads(line)
        return answer


def resident(field: str) -> int:
    """`VmRSS`, what the process has in memory, or `VmHWM`, the most that it ever had, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}")


def limit_memory() -> None:
    """Makes allocations beyond the memory that is free fail, instead of bringing the machine down."""
    import resource

    available = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable:"))
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    limit = int(available.split()[1]) * 1024
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def main() -> None:
    # Standard output belongs to the parent; whatever a library prints goes to standard error.
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(values: dict[str, Any]) -> None:
        print(json.dumps(values), file=channel, flush=True)

    workload, settings = Path(sys.argv[1]), Settings(**json.loads(sys.argv[2]))
    # Dies with its parent: interrupting a benchmark leaves no process behind.
    ctypes.CDLL(None).prctl(1, 9)
    limit_memory()
    import torch

    torch.set_num_threads(settings.threads)
    if settings.name == "matmul":
        answer({})
        while sys.stdin.readline():
            answer(asdict(measure_matmul(getattr(torch, settings.precision))))
        return
    train(workload, settings, answer)


def measure_matmul(dtype: Any) -> Step:
    """The best rate over the sizes, each tried for half a second."""
    import torch

    best, started = 0.0, time.perf_counter()
    for size in SIZES:
        a, b = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
        a @ b
        until = time.perf_counter() + 0.5
        while True:
            begin = time.perf_counter()
            a @ b
            end = time.perf_counter()
            best = max(best, 2 * size**3 / (end - begin))
            if end > until:
                break
    return Step(time.perf_counter() - started, 0, resident("VmHWM"), best)


def train(workload: Path, settings: Settings, answer: Any) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from workloads import load_groups

    from aftune.common.process import keep_freed_memory

    if settings.keep_memory:
        keep_freed_memory()
    groups = load_groups(workload)
    lora = settings.name.endswith("-lora")
    frozen = getattr(torch, settings.precision)  # what is not trained is kept as it is computed with
    model = AutoModelForCausalLM.from_pretrained(workload / "model", dtype=frozen if lora else torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(workload / "model")
    if lora:
        from aftune.models.adapters import add_adapter
        from aftune.recipe import AdapterSection

        model = add_adapter(model, AdapterSection(kind="lora", targets="all-linear"))
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-5, weight_decay=0.0, fused=True)  # the Trainer's default kind

    class WaitForParent(TrainerCallback):
        def wait(self) -> None:
            if not sys.stdin.readline():
                sys.exit()
            self.before, self.started = resident("VmRSS"), time.perf_counter()

        def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
            answer({})
            self.wait()

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            seconds = time.perf_counter() - self.started
            answer(asdict(Step(seconds, self.before, resident("VmHWM"))))
            self.wait()  # after the last step too: a process that ends would take time from the next contender

    def trainer(of: list[Any], steps: int, callbacks: list[Any]) -> Any:
        arguments: dict[str, Any] = {
            "output_dir": str(workload / "output"),
            "max_steps": steps,
            "bf16": settings.precision == "bfloat16",
            "use_cpu": True,
            "report_to": "none",
            "logging_strategy": "no",
            "save_strategy": "no",
            "disable_tqdm": True,
        }
        common: dict[str, Any] = {"optimizers": (optimizer, None), "callbacks": callbacks}
        if settings.name.startswith("aftune"):
            from aftune import AlignmentConfig, AlignmentTrainer

            args = AlignmentConfig(
                constraint="detached" if settings.name == "aftune-detached" else "boundary",
                per_device_train_batch_size=len(of),
                token_budget=settings.token_budget or AlignmentConfig.token_budget,
                activation_checkpointing=settings.checkpointing,
                kept_logits_gib=0 if settings.name == "aftune-recomputed" else AlignmentConfig.kept_logits_gib,
                **arguments,
            )
            return AlignmentTrainer(model, args, of, tokenizer, **common)
        import peers

        if "ref" in getattr(model, "peft_config", {}):
            model.delete_adapter("ref")  # TRL's copy for the reference policy, from the warm-up
        if settings.name == "padded":
            return peers.padded_trainer(model, of, settings.micro_batch, arguments, **common)
        return peers.dpo_trainer(
            model,
            tokenizer,
            of,
            settings.micro_batch,
            arguments,
            padding_free=settings.name == "dpo-padding-free",
            liger=settings.name == "dpo-liger",
            **common,
        )

    if settings.warm_up:
        trainer(groups[:1], 1, []).train()
    trainer(groups, settings.steps, [WaitForParent()]).train()


if __name__ == "__main__":
    main()
