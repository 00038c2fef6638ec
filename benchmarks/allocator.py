"""What keeping freed memory saves (aftune.machine): seconds of the same training steps with and without it.

    python benchmarks/allocator.py

Each measurement is a fresh process, the two kinds take turns; printed are the medians and the ratio.
"""

import subprocess
import sys
from statistics import median

PROGRAM = """
import sys, time, torch
from aftune import machine, models
from aftune.encoding import encode_group
from aftune.recipe import ModelSection
from aftune.records import Candidate, Feedback, Group
from aftune.scoring import make_pass, response_logprobs
from aftune.tasks import build

if sys.argv[1] == "keep":
    machine.keep_freed_memory()
torch.set_num_threads(1)
task, tokenizer = build("arithmetic"), models.load_tokenizer("bundled")
model = models.load_model("bundled", ModelSection())
problems = task.load("train[:16]")
groups = []
for problem in problems:
    candidates = [Candidate(problem_id=problem.id, index=i, text=other.rationale) for i, other in enumerate(problems[:8])]
    feedback = [Feedback(quality=i % 2, reason="-") for i in range(8)]
    group = Group(problem=problem, candidates=candidates, feedback=feedback)
    groups.append(encode_group(tokenizer, group, task.prompt(problem), reference=problem.rationale))
started = time.perf_counter()
for _ in range(3):
    response_logprobs(model, make_pass(groups)).scores_P_G.sum().backward()
print(time.perf_counter() - started)
"""


def seconds(kind: str) -> float:
    output = subprocess.run([sys.executable, "-c", PROGRAM, kind], check=True, capture_output=True, text=True).stdout
    return float(output)


def main() -> None:
    pairs = [(seconds("give back"), seconds("keep")) for _ in range(5)]
    without, kept = (median(column) for column in zip(*pairs, strict=True))
    ratio = median(a / b for a, b in pairs)
    print(f"three steps of 16 groups of 9: {without:.2f} s, with freed memory kept {kept:.2f} s; median ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
