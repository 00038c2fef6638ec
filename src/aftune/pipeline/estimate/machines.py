"""The machine that an estimate is for: cards by name, or this one."""

import re
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from aftune.common.errors import UsageError
from aftune.common.wording import counted
from aftune.models.devices import pick_device
from aftune.recipe import Recipe

# The rest is the driver's and the libraries', or lies unused between tensors.
_USABLE = 0.93
HERE = "this machine"
_BUSY = 0.75  # load for each core: what one has just run oneself still counts for a minute


@dataclass(frozen=True)
class Card:
    """Memory in GiB as the driver reports it; peak rates of matrix products in 10^12 operations a second, dense, 0 where the card
    has no such type; memory bandwidth in 10^9 bytes a second. From the makers' data sheets."""

    gib: float
    bfloat16: float
    float32: float
    bandwidth: float


CARDS = {
    "T4": Card(15.0, 0, 8.1, 320),
    "V100-16": Card(15.8, 0, 15.7, 900),
    "V100-32": Card(31.7, 0, 15.7, 900),
    "A10": Card(22.5, 125, 31.2, 600),
    "L4": Card(22.5, 121, 30.3, 300),
    "RTX3090": Card(24.0, 71, 35.6, 936),
    "RTX4090": Card(24.0, 165, 82.6, 1008),
    "RTX5090": Card(31.8, 210, 105, 1792),
    "A100-40": Card(40.0, 312, 19.5, 1555),
    "A40": Card(45.0, 150, 37.4, 696),
    "L40S": Card(45.0, 362, 91.6, 864),
    "A6000": Card(48.0, 155, 38.7, 768),
    "H100": Card(79.6, 989, 67, 3350),
    "A100-80": Card(80.0, 312, 19.5, 2039),
    "H200": Card(140.4, 989, 67, 4800),
    "B200": Card(179.0, 2250, 75, 8000),
}


@dataclass(frozen=True)
class Machine:
    """`number` devices, of which each process uses one and has `usable` bytes; or one CPU whose memory they share (`gpu` is False).
    card: None where only the memory is known."""

    name: str
    number: int
    memory: float
    gpu: bool
    card: Card | None = None

    def usable(self, num_processes: int) -> float:
        """Bytes that the tensors of a process may take."""
        return _USABLE * self.memory if self.gpu else self.memory / num_processes

    @property
    def has_bfloat16(self) -> bool:
        return self.card is None or self.card.bfloat16 > 0


def parse_machine(text: str) -> Machine:
    """`8xH100`, or `1x24GiB` for a card of which only the memory counts; raises UsageError for anything else."""
    found = re.fullmatch(r"([1-9]\d*)x(.+)", text.strip())
    if found:
        number, name = int(found[1]), found[2]
        size = re.fullmatch(r"(\d+(?:\.\d+)?)GiB", name)
        if size and float(size[1]) > 0:
            return Machine(text, number, float(size[1]) * 2**30, gpu=True)
        card = next((card for known, card in CARDS.items() if known.lower() == name.lower()), None)
        if card:
            return Machine(text, number, card.gib * 2**30, gpu=True, card=card)
    raise UsageError(
        f"--for: {text!r} is no machine that aftune knows; give a number and a card, such as 1xA100-80 or 8xH100, or the memory "
        f"of a card, such as 1x24GiB. Cards: {', '.join(CARDS)}"
    )


def this_machine(recipe: Recipe) -> Machine:
    """The GPUs that torch sees, or the memory of the CPU, which a container may limit; Apple's GPUs share it."""
    if pick_device(recipe.model.device) == "cuda":
        return Machine(HERE, torch.cuda.device_count(), float(torch.cuda.get_device_properties(0).total_memory), gpu=True)
    return Machine(HERE, 1, float(min(psutil.virtual_memory().total, _container_limit())), gpu=False)


def processes_on(recipe: Recipe, machine: Machine) -> int:
    """How many processes a recipe has on a machine. Raises UsageError for more than the cards of one that is not here."""
    wanted = recipe.launch.processes
    number = machine.number if wanted == "auto" else wanted
    if machine.name != HERE and number > machine.number:
        raise UsageError(f"launch.processes: {number} on {machine.name}; set {machine.number}, or auto for one on each card")
    return number


def busy() -> str:
    """A sentence where other work takes most of the cores by now, as times are told of a machine without any; else
    nothing."""
    load, cores = psutil.getloadavg()[0], psutil.cpu_count() or 1
    if load < _BUSY * cores:
        return ""
    times = (load + cores) / cores
    return (
        f"The machine is busy (load {load:.1f} on {counted(cores, 'core')}): everything may take {times:.0f} times as long as on "
        "an idle one, or longer. "
    )


def _container_limit() -> float:
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            return float(Path(path).read_text())
        except (OSError, ValueError):  # none, or "max"
            continue
    return float("inf")
