"""The card of a model: what it says, and that no text in it becomes anything but text. Markdown is read by markdown-it."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard
from markdown_it import MarkdownIt
from markdown_it.token import Token

from aftune.common.yaml_text import parse_yaml
from aftune.recipe import Recipe
from aftune.reporting import ReportData
from aftune.reporting.formatting import NBSP
from aftune.reporting.run.card import Published, model_card
from hostile_text import UNSEEN, hostile, spoiled

HOSTILE = "x\n---\n<img src=x onerror=alert(1)> **b** _i_ `c` ``` [l](http://x) | cell | ~~s~~ # h &lt; $m$ {{ 7 * 7 }} \\ ![i](j)"
PUBLISHED = Published(title="me/mine", model="aligned", adapter=False, prompt="<s>Q?", asked="Q?")


def read(card: ModelCard) -> list[Token]:
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(card.text)


def texts(tokens: Sequence[Token], kind: str) -> list[str]:
    """The texts that stand right after tokens of a kind, without marks: headings, cells, paragraphs."""
    return ["".join(part.content for part in inline.children or ()) for before, inline in pairwise(tokens) if before.type == kind]


def fences(tokens: Sequence[Token]) -> list[str]:
    return [token.content.rstrip("\n") for token in tokens if token.type == "fence"]


def kinds(tokens: Sequence[Token]) -> set[str]:
    return {token.type for token in tokens} | {part.type for token in tokens for part in token.children or ()}


def test_figures_of_all_models_as_measured(data: ReportData) -> None:
    """0.603 with 0.563 to 0.643, and so on; the model's own are also in the metadata, unrounded."""
    card = model_card(data, PUBLISHED)
    cells = texts(read(card), "td_open")
    start = cells.index("base")
    rows = [cells[place : place + 5] for place in range(start, start + 20, 5)]
    assert [[cell.replace(NBSP, " ") for cell in row] for row in rows] == [
        ["base", "18.2 %", "14.2 to 22.2", "61.2 %", "59.2 to 63.2"],
        ["VFT", "55.3 %", "51.3 to 59.3", "68.1 %", "66.1 to 70.1"],
        ["VFT, same steps", "56.1 %", "52.1 to 60.1", "67.2 %", "65.2 to 69.2"],
        ["AFT-BC", "60.3 %", "56.3 to 64.3", "84.2 %", "82.2 to 86.2"],
    ]
    assert card.data.to_dict()["model-index"] == [
        {
            "name": "me/mine",
            "results": [
                {
                    "task": {"type": "text-generation"},
                    "dataset": {"name": "arithmetic", "type": "arithmetic", "split": "test[:600]"},
                    "metrics": [
                        {"type": "accuracy", "value": 0.603, "name": "accuracy"},
                        {"type": "assessment_accuracy", "value": 0.842, "name": "assessment accuracy"},
                    ],
                }
            ],
        }
    ]
    assert card.data.tags == ["aftune", "alignment-fine-tuning", "aft-bc"]
    assert "AFT-BC is 5.0 points above VFT (95 % interval 1.8 to 8.2, p = 0.003)." in card.text.replace(NBSP, " ")


def test_method_and_data(data: ReportData) -> None:
    tokens = read(model_card(data, PUBLISHED))
    cells = texts(tokens, "td_open")
    told = dict(pairwise(cells))
    assert told["Alignment"].startswith("AFT-BC: constraint boundary (BC), beta 0.15 nats per token, weight 1")
    assert told["Candidates"] == "k = 6 a problem, temperature 1, at most 192 tokens"
    assert cells[(place := cells.index("arithmetic")) : place + 4] == [
        "arithmetic",
        "train[:1000]",
        "validation[:300]",
        "test[:600]",
    ]
    assert "In use: 1,000 train, 300 validation, 600 test problems." in texts(tokens, "paragraph_open")


def test_an_adapter(data: ReportData) -> None:
    adapter = {"kind": "dora", "rank": 8, "targets": ["q_proj", "v_proj"], "modules_to_save": ["lm_head"], "dropout": 0.1}
    recipe = Recipe.model_validate({"run_dir": "run", "adapter": adapter})
    card = model_card(replace(data, recipe=recipe), replace(PUBLISHED, adapter=True))
    told = dict(pairwise(texts(read(card), "td_open")))
    assert told["Adapter"] == "dora, rank 8, alpha 32, targets q_proj, v_proj, whole layers lm_head, dropout 0.1"
    assert (card.data.library_name, card.data.tags[-1]) == ("peft", "dora")
    assert "This is the adapter (PEFT) alone, to be loaded with its base model." in card.text


def test_of_the_vft_model_nothing_is_told_of_alignment(data: ReportData) -> None:
    card = model_card(data, replace(PUBLISHED, model="vft"))
    cells = texts(read(card), "td_open")
    assert "VFT training" in cells
    assert not {"Alignment", "Candidates", "Control"} & set(cells)
    assert [result.metric_value for result in card.data.eval_results] == [0.553, 0.681]
    assert card.data.tags[-1] == "vft"
    assert "points above" not in card.text


def test_without_figures(data: ReportData) -> None:
    card = model_card(replace(data, metrics={"results": {}}), PUBLISHED)
    assert "The run did not evaluate its models." in texts(read(card), "paragraph_open")
    assert "model-index" not in card.data.to_dict()
    unassessed = {"results": {"aligned": {**data.metrics["results"]["aligned"], "assessment_accuracy": None}}}
    card = model_card(replace(data, metrics=unassessed), PUBLISHED)
    assert [result.metric_type for result in card.data.eval_results] == ["accuracy"]


def test_several_tasks(data: ReportData) -> None:
    """Each has its own figures, with the name of its data set on the Hub where it came from there."""
    parts = [{"name": "gsm8k", "test": "test[:5]", "data": "/home/me/secret/gsm8k"}, {"name": "sequences", "test": "test"}]
    recipe = Recipe.model_validate({"run_dir": "/home/me/run", "task": {"name": "mixture", "parts": parts}})
    aligned = data.metrics["results"]["aligned"] | {
        "accuracy_by_task": {"gsm8k": 0.5, "sequences": 0.75},
        "assessment_accuracy_by_task": {"gsm8k": 0.625, "sequences": None},
    }
    card = model_card(
        replace(data, recipe=recipe, metrics={"results": {"aligned": aligned}}),
        replace(PUBLISHED, data_sets={"gsm8k": "openai/gsm8k"}),
    )
    assert [(result.dataset_type, result.dataset_split, result.metric_value) for result in card.data.eval_results] == [
        ("openai/gsm8k", "test[:5]", 0.5),
        ("openai/gsm8k", "test[:5]", 0.625),
        ("sequences", "test", 0.75),
    ]
    assert card.data.datasets == ["openai/gsm8k"]
    written = parse_yaml(fences(read(card))[-1])
    assert (written["run_dir"], written["task"]["parts"][0]["data"]) == ("run", "gsm8k")
    assert "/home/me" not in card.content


def test_hostile_texts_stay_texts(data: ReportData) -> None:
    """The same headings, tables and fences, and no HTML, link or emphasis, wherever the text stands."""
    prompt = {"style": "chat", "system": HOSTILE, "instruction": HOSTILE}
    folder = HOSTILE.replace("/", " ")
    values = data.recipe.model_dump(mode="json") | {"prompt": prompt, "model": {"name": f"/home/me/{folder}"}}
    align = {**data.stages["align"], "warnings": [HOSTILE]}
    hostile = replace(data, recipe=Recipe.model_validate(values), stages={**data.stages, "align": align})
    shown = replace(PUBLISHED, title=HOSTILE, prompt=f"<s>{HOSTILE}", asked=[{"role": "user", "content": HOSTILE}])
    card, plain = model_card(hostile, shown), read(model_card(data, PUBLISHED))
    tokens = read(card)
    assert texts(tokens, "heading_open")[1:] == texts(plain, "heading_open")[1:]
    one_line = " ".join(HOSTILE.split())
    assert texts(tokens, "heading_open")[0] == one_line
    assert texts(tokens, "td_open")[1] == " ".join(folder.split()) + ", auto"
    assert one_line in texts(tokens, "paragraph_open")[2]
    assert not {"html_block", "html_inline", "image", "s_open", "em_open", "code_inline"} & kinds(tokens)
    links = [part.attrGet("href") for token in tokens for part in token.children or () if part.type == "link_open"]
    assert links == ["https://arxiv.org/abs/2309.02144"]
    shown_prompt, program, recipe = fences(tokens)
    assert shown_prompt == f"<s>{HOSTILE}"
    assert parse_yaml(recipe)["prompt"]["system"] == HOSTILE
    found: dict[str, Any] = {}
    exec(next(line for line in program.splitlines() if line.startswith("messages = ")), found)
    assert found["messages"] == [{"role": "user", "content": HOSTILE}]
    assert ModelCard(str(card)).data.to_dict() == card.data.to_dict()
    assert card.data.model_name == HOSTILE


def test_control_characters_are_shown(data: ReportData) -> None:
    card = model_card(data, replace(PUBLISHED, prompt="a\r\n---\x00\x1b[31m"))
    assert fences(read(card))[0] == "a\u240d\n---\u2400\u241b[31m"


def test_paths_are_names(data: ReportData) -> None:
    values = data.recipe.model_dump(mode="json") | {
        "data": "/home/me/data/gsm8k",
        "model": {"name": "/home/me/models/llama"},
        "candidates": {"format": "json_lines", "path": "/home/me/c.jsonl"},
    }
    card = model_card(replace(data, recipe=Recipe.model_validate(values)), PUBLISHED)
    assert "/home/me" not in card.content
    written = parse_yaml(fences(read(card))[-1])
    assert (written["data"], written["model"]["name"], written["candidates"]["path"]) == ("gsm8k", "llama", "c.jsonl")
    assert Path(written["run_dir"]) == Path("made-up")


def test_hostile_text_in_every_field_hides_nothing_and_stays_text(data: ReportData) -> None:
    attacked = replace(PUBLISHED, title=hostile("title"), prompt=hostile("prompt"), asked=hostile("asked"))
    card = model_card(spoiled(data), attacked)
    assert [hex(ord(character)) for character in UNSEEN if character in card.text] == []
    tokens = read(card)
    assert kinds(tokens).isdisjoint({"html_block", "html_inline", "image"})
    links = [part.attrs["href"] for token in tokens for part in token.children or () if part.type == "link_open"]
    assert links == ["https://arxiv.org/abs/2309.02144"]


def test_own_questions_are_called_by_their_file_and_the_model_by_the_run(data: ReportData) -> None:
    recipe = Recipe.model_validate({"run_dir": "runs/shop", "data": "shop.csv", "task": {"name": "jsonl", "test": "all[80%:]"}})
    card = model_card(replace(data, recipe=recipe), replace(PUBLISHED, title="runs/shop/align/model", heading="shop, AFT-BC"))
    [result, *_] = card.data.eval_results or []
    assert (result.dataset_name, result.dataset_type, result.dataset_split) == ("shop", "shop", "all[80%:]")
    assert card.data.model_name == "shop, AFT-BC"
    assert "\n# shop, AFT-BC\n" in card.text
    assert "name = 'runs/shop/align/model'" in card.text
