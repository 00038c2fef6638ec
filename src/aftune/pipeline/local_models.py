"""A model of a run for programs that run models on one's own machine: llama.cpp (a GGUF file) and Ollama (a folder with a
Modelfile)."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from aftune.common.errors import StageError, UsageError
from aftune.common.text_files import write_lines
from aftune.pipeline.context import Context
from aftune.pipeline.model_folder import write_model_folder

_CONVERTER = "convert_hf_to_gguf.py"
_FOLDER = "LLAMA_CPP"  # the environment's name for where a clone of llama.cpp is


def write_gguf(context: Context, out: Path, model: str) -> dict[str, int]:
    """Has llama.cpp's converter make a GGUF file of the model, and gives its size. The prompt is in it as the chat template that
    `llama-server` uses.

    Raises UsageError where there is no converter or `out` is there already, StageError with the converter's last line where it
    fails: it does not know every architecture and tokenizer, the bundled model's among them.
    """
    converter = _converter()
    if out.exists():
        raise UsageError(f"--out: {out} is there already; choose a new file")
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as place:
        plain, made = Path(place) / "model", Path(place) / "model.gguf"
        write_model_folder(context, "merged", plain, model)
        command = [sys.executable, str(converter), str(plain), "--outfile", str(made)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not made.is_file():
            [*_, last] = done.stderr.strip().splitlines() or ["it said nothing"]
            raise StageError(f"--to gguf: {converter} could not convert this model: {last}")
        made.replace(out)
    return {"bytes": out.stat().st_size}


def _converter() -> Path:
    folder = os.environ.get(_FOLDER)
    found = str(Path(folder).expanduser() / _CONVERTER) if folder else shutil.which(_CONVERTER)
    if found is None or not Path(found).is_file():
        where = f" (it is {folder!r}, and there is no {_CONVERTER} in it)" if folder else ""
        raise UsageError(
            "--to gguf: needs llama.cpp's converter; clone https://github.com/ggml-org/llama.cpp, install its "
            f"requirements/requirements-{Path(_CONVERTER).stem}.txt, and set {_FOLDER} to its folder{where}"
        )
    return Path(found)


def write_ollama(context: Context, out: Path, model: str) -> dict[str, int]:
    """Writes a plain model with a Modelfile, for `ollama create NAME -f FOLDER/Modelfile`; gives the number of files. It asks and
    answers as evaluation does.

    Raises what `write_model_folder` raises, and before anything is written UsageError for a prompt that a Modelfile cannot hold.
    """
    lines = _modelfile(context)
    number = write_model_folder(context, "merged", out, model)
    write_lines(out / "Modelfile", lines)
    return {"files": number + 1}


def _modelfile(context: Context) -> list[str]:
    settings = context.settings(context.recipe.evaluate, context.problems("test"), greedy=True)
    lines = [
        "FROM .",
        "PARAMETER temperature 0",
        f"PARAMETER num_predict {settings.max_new_tokens}",
        f"PARAMETER num_ctx {context.context_length}",
        *(f"PARAMETER stop {_quoted(text)}" for text in settings.stop),
    ]
    template = context.chat_template
    return lines if template is None else [*lines, f"TEMPLATE {_quoted(template.go())}"]


def _quoted(text: str) -> str:
    if '"""' in text:
        raise UsageError('--to ollama: a Modelfile cannot hold this prompt, which has """ in it; use --to merged or gguf')
    return f'"""{text}"""'


LOCAL: dict[str, Callable[[Context, Path, str], dict[str, int]]] = {"gguf": write_gguf, "ollama": write_ollama}
