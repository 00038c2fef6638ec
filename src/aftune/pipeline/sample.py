"""Stage `sample`: k candidates for each training problem, from the VFT model or from a file made elsewhere."""

from aftune.importers import import_candidates
from aftune.pipeline.context import Context, Summary
from aftune.records import write_records
from aftune.sampling import TransformersEngine
from aftune.sampling.collect import collect_candidates
from aftune.seeds import derive_seed


def sample(context: Context) -> Summary:
    """Writes `candidates.jsonl`, appended batch by batch."""
    recipe = context.recipe
    path = context.folder("sample") / "candidates.jsonl"
    problems = context.problems("train")
    if recipe.candidates is not None:
        candidates = import_candidates(recipe.candidates, recipe.data, problems)
        write_records(path, candidates)
    else:
        candidates = collect_candidates(
            TransformersEngine(context.load_policy("sft"), context.tokenizer),
            problems,
            context.task.prompt,
            context.settings(recipe.sample),
            num_candidates=recipe.sample.num_candidates,
            batch_size=recipe.sample.batch_size,
            seed=derive_seed(recipe.seed, "sample"),
            path=path,
            title="sample",
        )
    truncated = sum(candidate.finish_reason == "length" for candidate in candidates)
    return {"candidates": len(candidates), "truncated": truncated}
