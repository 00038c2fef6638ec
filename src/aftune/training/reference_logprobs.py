"""Which log-probability belongs to which response. A group in training has only some of its candidates, in its own order."""

from collections import Counter
from collections.abc import Sequence

from aftune.common.errors import DataError
from aftune.prompts.encoding import EncodedGroup, response_indices
from aftune.records import Group, GroupLogprobs


def matched(group: EncodedGroup, given: GroupLogprobs) -> list[int]:
    """The place in `given` of each response of the group: by index, or by order where either of the two has no indices.

    Raises DataError where a response has no place or several, or another length, and where the two are not for one problem.
    """
    place = f"{group.problem_id}: log-probabilities under the reference policy"
    if group.problem_id != given.problem_id:
        raise DataError(f"{place} are given for {given.problem_id}; give one entry for each group, in the order of the groups")
    if given.indices is None or group.indices is None:
        if len(given.sums) != len(group.response_ids):
            raise DataError(
                f"{place}: {len(given.sums)} given, {len(group.response_ids)} expected, one for each response in training; "
                "give these, or GroupLogprobs with indices"
            )
        return list(range(len(given.sums)))
    if len(given.indices) != len(given.sums):
        raise DataError(f"{place}: {len(given.sums)} given, {len(given.indices)} with an index; give one index for each")
    times = Counter(given.indices)
    for index, number in Counter(group.indices).items():
        if number != 1 or times[index] != 1:
            raise DataError(
                f"{place}: {_name(index)} should occur once in the group and once in what is given, but the counts are "
                f"{number} and {times[index]}; compute them again from the same groups"
            )
    places = [given.indices.index(index) for index in group.indices]
    for index, at, ids in zip(group.indices, places, group.response_ids, strict=True):
        if given.lengths and given.lengths[at] != len(ids):
            raise DataError(
                f"{place}: {_name(index)} has length {len(ids)}, but length {given.lengths[at]} in what is given; "
                "compute them again from the same groups"
            )
    return places


def from_list(sums: Sequence[float], source: object, group: EncodedGroup) -> GroupLogprobs:
    """`GroupLogprobs` from numbers without indices: for a `Group`, one for each of its responses, the reference first; else in the
    order of the encoded group. Raises DataError where a `Group` has another number of responses."""
    if not isinstance(source, Group) or group.indices is None:
        return GroupLogprobs(problem_id=group.problem_id, sums=list(sums))
    has_reference = None in group.indices
    indices = response_indices(source, "" if has_reference else None)
    if len(sums) != len(indices):
        raise DataError(
            f"{group.problem_id}: log-probabilities under the reference policy: {len(sums)} given, {len(indices)} expected: "
            f"{'one for the reference, then ' if has_reference else ''}one for each of its candidates"
        )
    return GroupLogprobs(problem_id=group.problem_id, sums=list(sums), indices=indices)


def _name(index: int | None) -> str:
    return "the reference" if index is None else f"candidate {index}"
