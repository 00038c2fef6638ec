"""Groups of all shapes, and settings, for tests of training."""

import torch

from aftune.prompts.encoding import EncodedGroup


def made_groups(num: int = 16) -> list[EncodedGroup]:
    """Groups of 1 to 6 responses of 1 to 40 tokens; some without a reference, without pairs, or with nothing but it."""
    generator = torch.Generator().manual_seed(0)

    def ids(low: int, high: int) -> list[int]:
        length = int(torch.randint(low, high + 1, (1,), generator=generator))
        return torch.randint(3, 500, (length,), generator=generator).tolist()

    groups = []
    for n in range(num):
        candidates = [[*ids(0, 3 if n % 3 else 40), 2] for _ in range((0, 5, 2, 3, 1)[n % 5])]
        qualities: list[float | None] = [float((n + g) % 2 if n % 4 else 1) for g in range(len(candidates))]
        in_sft = [False] * len(candidates)
        if n % 5 != 3:
            candidates, qualities, in_sft = [[*ids(1, 25), 2], *candidates], [1.0 if n % 2 else None, *qualities], [True, *in_sft]
        groups.append(EncodedGroup(f"p{n}", [1, *ids(1, 12)], candidates, in_sft, qualities))
    return groups


GROUPS = made_groups()

SETTINGS = {
    "learning_rate": 3e-3,
    "lr_scheduler_type": "linear",
    "logging_steps": 1,
    "use_cpu": True,
    "disable_tqdm": True,
    "seed": 3,
}
