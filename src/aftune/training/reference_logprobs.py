"""Which log-probability belongs to which response. A group in training has some of its candidates, in an order of its own."""

from collections import Counter
from collections.abc import Sequence

from aftune.common.errors import DataError
from aftune.prompts.encoding import EncodedGroup, response_indices
from aftune.records import Group, GroupLogprobs


def matched(group: EncodedGroup, given: GroupLogprobs) -> list[int]:
    """For each response of the group its place in `given`: by index, or in the order of both where one of them has no indices.

    Raises DataError where a response has none or several, has another length, and where the two are not of one problem.
    """
    place = f"{group.problem_id}: log-probabilities under the reference policy"
    if group.problem_id != given.problem_id:
        raise DataError(f"{place} are given for {given.problem_id}; give one entry for each group, in the order of the groups")
    if given.indices is None or group.indices is None:
        if len(given.sums) != len(group.response_ids):
            raise DataError(
                f"{place}: {len(given.sums)} are given, the group has {len(group.response_ids)} responses in training; "
                "give GroupLogprobs with indices, or one for each response"
            )
        return list(range(len(given.sums)))
    if len(given.indices) != len(given.sums):
        raise DataError(f"{place}: {len(given.sums)} are given with {len(given.indices)} indices; give one index for each")
    times = Counter(given.indices)
    for index, number in Counter(group.indices).items():
        if number != 1 or times[index] != 1:
            raise DataError(
                f"{place}: {_name(index)} is there {number} times in the group and {times[index]} times in what is given, expected "
                "once in both; compute them again from the same groups"
            )
    places = [given.indices.index(index) for index in group.indices]
    for index, at, ids in zip(group.indices, places, group.response_ids, strict=True):
        if given.lengths and given.lengths[at] != len(ids):
            raise DataError(
                f"{place}: {_name(index)} has {len(ids)} tokens, they are of one with {given.lengths[at]}; "
                "compute them again from the same groups"
            )
    return places


def from_list(sums: Sequence[float], source: object, group: EncodedGroup) -> GroupLogprobs:
    """Numbers without indices: of a `Group` one for each of its responses, the reference first; else in the order of the encoded
    group. Raises DataError where a `Group` has another number of responses."""
    if not isinstance(source, Group) or group.indices is None:
        return GroupLogprobs(problem_id=group.problem_id, sums=list(sums))
    has_reference = None in group.indices
    indices = response_indices(source, "" if has_reference else None)
    if len(sums) != len(indices):
        raise DataError(
            f"{group.problem_id}: {len(sums)} log-probabilities under the reference policy are given, expected {len(indices)}: one "
            f"for each of its {len(source.candidates)} candidates{', before them one for the reference' if has_reference else ''}"
        )
    return GroupLogprobs(problem_id=group.problem_id, sums=list(sums), indices=indices)


def _name(index: int | None) -> str:
    return "the reference" if index is None else f"candidate {index}"
