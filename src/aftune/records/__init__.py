"""The records that stages hand on (types) and their JSON Lines files (files, large_files, appended). May import common."""

from aftune.records.files import iter_records, parse_line, parse_record, read_records, write_records
from aftune.records.types import (
    BEST_RANK,
    PUBLISHED_VERDICT,
    UNDECIDED,
    AnyRecord,
    Candidate,
    Feedback,
    Group,
    GroupLogprobs,
    GroupScores,
    JudgedResponse,
    Problem,
    Record,
    Votes,
    with_unique_ids,
)

__all__ = [
    "BEST_RANK",
    "PUBLISHED_VERDICT",
    "UNDECIDED",
    "AnyRecord",
    "Candidate",
    "Feedback",
    "Group",
    "GroupLogprobs",
    "GroupScores",
    "JudgedResponse",
    "Problem",
    "Record",
    "Votes",
    "iter_records",
    "parse_line",
    "parse_record",
    "read_records",
    "with_unique_ids",
    "write_records",
]
