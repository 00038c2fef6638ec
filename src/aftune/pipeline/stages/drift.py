"""How far the log-probabilities of an engine are from our own."""

from collections.abc import Sequence
from statistics import fmean

from aftune.pipeline.context import Context, Summary
from aftune.prompts.encoding import EncodedGroup, encode_candidate
from aftune.records import Candidate, Problem
from aftune.scoring import group_logprobs

MOST = 64  # candidates that are looked at


def drift(context: Context, stage: str, problems: Sequence[Problem], candidates: Sequence[Candidate]) -> Summary:
    """The mean and the largest difference, nats per token, over the first candidates that tell their log-probability under a
    stage's model; and how many of those have another number of tokens here, so that they cannot be compared."""
    telling = [candidate for candidate in candidates if "logprob" in candidate.settings][:MOST]
    by_id = {problem.id: problem for problem in problems}
    encoded: list[EncodedGroup] = []
    theirs: list[float] = []
    for candidate in telling:
        ids = encode_candidate(context.tokenizer, candidate, end_id=context.end_id)
        counted = candidate.settings["logprob_tokens"]
        if counted == len(ids) - 1 and candidate.finish_reason == "stop":
            ids = ids[:-1]  # it tells nothing of the end
        if counted == len(ids):
            prompt = context.prompter(by_id[candidate.problem_id])
            encoded.append(EncodedGroup(candidate.problem_id, prompt, [ids], [False], [None]))
            theirs.append(candidate.settings["logprob"] / counted)
    if not telling:
        return {}
    summary: Summary = {"drift_candidates": len(encoded), "drift_not_comparable": len(telling) - len(encoded)}
    if encoded:
        ours = [group.scores[0] for group in group_logprobs(context.load_policy(stage, float32=True), encoded)]
        apart = [abs(here - there) for here, there in zip(ours, theirs, strict=True)]
        summary |= {"drift_mean": round(fmean(apart), 6), "drift_largest": round(max(apart), 6)}
    return summary
