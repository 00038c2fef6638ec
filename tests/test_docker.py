"""The Dockerfiles, as far as they can be checked without Docker: what they copy is there, and they install as the Makefile does."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = ("Dockerfile", "Dockerfile.cuda")


def lines(name: str) -> list[str]:
    """The instructions of a file."""
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def of(name: str, instruction: str) -> list[str]:
    return [line.removeprefix(f"{instruction} ") for line in lines(name) if line.startswith(f"{instruction} ")]


@pytest.mark.parametrize("name", FILES)
def test_what_is_copied_is_there_and_reaches_docker(name: str) -> None:
    """`.dockerignore` leaves out everything but what it names."""
    let_in = {
        line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"
    }
    sources = [source for copy in of(name, "COPY") if not copy.startswith("--from") for source in copy.split()[:-1]]
    assert set(sources) == let_in
    assert [source for source in sources if not (ROOT / source).exists()] == []


@pytest.mark.parametrize("name", FILES)
def test_it_installs_with_the_commands_of_the_makefile(name: str) -> None:
    """Those that a make with LOCK runs, except that the package is not editable, and where torch's build comes from."""

    def plain(command: str) -> str:
        return re.sub(r"--index-url \S+ |--quiet ", "", command).strip()

    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("$(LOCK)", "requirements.lock").replace("--editable ", "")
    theirs = [plain(command) for command in re.findall(r"^\t\$\(BIN\)/(pip install .*)$", makefile, flags=re.MULTILINE)]
    ours = [plain(command) for command in of(name, "RUN") if command.startswith("pip ")]
    assert len(ours) == 3
    assert [command for command in ours if command not in theirs] == []


@pytest.mark.parametrize("name", FILES)
def test_it_is_pinned_and_runs_as_a_user(name: str) -> None:
    bases = [line.split()[0] for line in of(name, "FROM")]
    assert all(re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", base) for base in bases)
    assert len(set(bases)) == 1
    assert of(name, "USER")[-1] == "aftune"
    assert of(name, "ENTRYPOINT") == ['["aftune"]']


def test_the_two_differ_only_in_torch_and_a_compiler() -> None:
    cpu, cuda = (set(lines(name)) for name in FILES)
    assert {line.split()[0] for line in cpu ^ cuda} == {"RUN"}
    assert len(cpu - cuda) == 1
    assert len(cuda - cpu) == 2
