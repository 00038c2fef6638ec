"""Groups as padded tensors."""

import torch

from aftune.encoding import EncodedGroup
from aftune.scoring import collate


def test_collate_puts_every_value_in_its_place() -> None:
    batch = collate(
        [
            EncodedGroup("a", [1, 5], [[6, 7, 2], [8]], [True, False], [None, 0.5]),
            EncodedGroup("b", [1, 5, 9], [[4]], [False], [-2.0]),
        ],
        pad_token_id=99,
    )
    assert batch["input_ids"].tolist() == [[[1, 5, 6, 7, 2], [1, 5, 8, 99, 99]], [[1, 5, 9, 4, 99], [99] * 5]]
    assert batch["prompt_lengths"].tolist() == [2, 3]
    assert batch["response_lengths"].tolist() == [[3, 1], [1, 0]]
    assert batch["in_sft"].tolist() == [[True, False], [False, False]]
    assert batch["in_alignment"].tolist() == [[False, True], [True, False]]
    assert batch["qualities"].tolist() == [[0.0, 0.5], [-2.0, 0.0]]
    assert batch["input_ids"].dtype == torch.int64


def test_every_tensor_has_one_row_a_group() -> None:
    """Whatever splits or gathers a batch along dimension 0 keeps groups whole."""
    groups = [EncodedGroup(str(n), [1], [[4]] * n, [False] * n, [0.0] * n) for n in (3, 0, 1)]
    batch = collate(groups)
    assert {name: len(value) for name, value in batch.items()} == dict.fromkeys(batch, 3)
    assert batch["response_lengths"].tolist() == [[1, 1, 1], [0, 0, 0], [1, 0, 0]]
