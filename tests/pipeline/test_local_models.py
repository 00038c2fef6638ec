"""Models for llama.cpp and Ollama. The converter here is a stand-in: llama.cpp's own is not a package."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from aftune.cli.main import app
from aftune.common.errors import StageError, UsageError
from aftune.pipeline.context import context_of
from aftune.pipeline.export import export

pytestmark = pytest.mark.xdist_group("model_folder")

CONVERTER = """
import pathlib, sys
folder, name, out = sys.argv[1:]
assert name == "--outfile"
assert "Question: " in (pathlib.Path(folder) / "chat_template.jinja").read_text()
pathlib.Path(out).write_bytes((pathlib.Path(folder) / "model.safetensors").read_bytes())
"""


@pytest.fixture
def llama_cpp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "llama.cpp"
    folder.mkdir()
    (folder / "convert_hf_to_gguf.py").write_text(CONVERTER)
    monkeypatch.setenv("LLAMA_CPP", str(folder))
    return folder


def test_the_converter_gets_a_plain_model(adapter_runs: dict[bool, Path], tmp_path: Path, llama_cpp: Path) -> None:
    """Merged, whether the run merged it or not; nothing else is left."""
    export(adapter_runs[False], "merged", tmp_path / "plain")
    expected = (tmp_path / "plain" / "model.safetensors").read_bytes()
    assert export(adapter_runs[False], "gguf", tmp_path / "out" / "model.gguf") == {"bytes": len(expected)}
    assert (tmp_path / "out" / "model.gguf").read_bytes() == expected
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["model.gguf"]
    with pytest.raises(UsageError, match=r"model\.gguf is there already; choose a new file"):
        export(adapter_runs[False], "gguf", tmp_path / "out" / "model.gguf")


@pytest.mark.parametrize(
    ("program", "said"), [("raise ValueError('no such tokenizer')", "ValueError: no such tokenizer"), ("", "it said nothing")]
)
def test_what_the_converter_cannot_do_is_told(
    program: str, said: str, adapter_runs: dict[bool, Path], tmp_path: Path, llama_cpp: Path
) -> None:
    (llama_cpp / "convert_hf_to_gguf.py").write_text(program)
    with pytest.raises(StageError, match=f"could not convert this model: {said}"):
        export(adapter_runs[True], "gguf", tmp_path / "out" / "model.gguf")
    assert list((tmp_path / "out").iterdir()) == []


def test_without_a_converter_the_message_says_how_to_get_it(
    adapter_runs: dict[bool, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_CPP", str(tmp_path))
    result = CliRunner().invoke(app, ["export", str(adapter_runs[True]), "--to", "gguf", "--out", str(tmp_path / "m.gguf")])
    text = " ".join(result.output.split())
    assert result.exit_code != 0
    assert "needs llama.cpp's converter; clone https://github.com/ggml-org/llama.cpp" in text
    assert "and there is no convert_hf_to_gguf.py in it" in text


def test_a_modelfile_asks_and_answers_as_evaluation_does(adapter_runs: dict[bool, Path], tmp_path: Path) -> None:
    """The small run asks in plain style and answers with at most `evaluate.max_new_tokens`; the bundled model reads
    1,024 tokens."""
    most = context_of(adapter_runs[True]).recipe.evaluate.max_new_tokens
    export(adapter_runs[True], "ollama", tmp_path / "out")
    assert (tmp_path / "out" / "Modelfile").read_text().splitlines() == [
        "FROM .",
        "PARAMETER temperature 0",
        f"PARAMETER num_predict {most}",
        "PARAMETER num_ctx 1024",
        'TEMPLATE """{{ if .System }}{{ .System }}',
        "",
        "{{ end }}Question: {{ .Prompt }}",
        "Answer:",
        '{{ .Response }}"""',
    ]
    assert (tmp_path / "out" / "model.safetensors").is_file()
