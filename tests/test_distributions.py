"""What is published: a source distribution that can be built, and a wheel that works where it is installed; all without network."""

import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

import aftune

pytestmark = pytest.mark.xdist_group("distributions")

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Built:
    sdist: Path
    wheel: Path
    bin: Path


def run(*command: str | Path, cwd: Path) -> str:
    ended = subprocess.run(
        list(map(str, command)), cwd=cwd, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}, timeout=120
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The source distribution, the wheel that is made of it, and a fresh environment with that wheel, which finds the other
    packages in that of the tests."""
    pytest.importorskip("hatchling", reason="hatchling is not installed: pip install 'aftune[dev]'")
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", folder, cwd=ROOT)
    [sdist] = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=folder / sdist.name.removesuffix(".tar.gz"))
    [wheel] = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    binaries = folder / "venv" / "bin"
    offline = ("--no-deps", "--no-index", "--no-compile", "--disable-pip-version-check")
    run(sys.executable, "-m", "pip", "--python", binaries / "python", "install", *offline, wheel, cwd=folder)
    [site] = (folder / "venv" / "lib").glob("python*/site-packages")
    (site / "of_the_tests.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    return Built(sdist, wheel, binaries)


def files(folder: Path) -> set[str]:
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.as_posix() for path in found}


def test_the_source_distribution_holds_what_a_build_needs_and_no_more(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    expected = {f"src/aftune/{name}" for name in files(ROOT / "src" / "aftune")} | {
        f"recipes/{name}" for name in files(ROOT / "recipes")
    }
    assert names - expected == {"LICENSE", "README.md", "pyproject.toml", "PKG-INFO", "constraints.txt", ".gitignore"}
    assert expected <= names


def test_the_wheel_holds_the_package_and_the_recipes(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = archive.read(f"aftune-{aftune.__version__}.dist-info/METADATA").decode()
    expected = {f"aftune/{name}" for name in files(ROOT / "src" / "aftune")} | {
        f"aftune/recipes/{name}" for name in files(ROOT / "recipes")
    }
    assert names == expected
    for name in (
        "py.typed",
        "assets/base/model.safetensors",
        "reporting/base.html.j2",
        "reporting/page.css",
        "recipes/quickstart.yaml",
    ):
        assert f"aftune/{name}" in names
    assert re.search(r"^Requires-Python: >=3\.11$", metadata, flags=re.MULTILINE)
    assert "Provides-Extra: peft" in metadata


def test_the_installed_wheel_works(built: Built, tmp_path: Path) -> None:
    """The command, `python -m`, and the functions; the recipes are those of the wheel."""
    assert run(built.bin / "aftune", "--version", cwd=tmp_path) == f"aftune {aftune.__version__}\n"
    assert "quickstart" in run(built.bin / "aftune", "recipes", cwd=tmp_path)
    assert "Usage: " in run(built.bin / "python", "-m", "aftune", "--help", cwd=tmp_path)
    code = (
        "import aftune; from aftune.recipe import shipped_recipes;"
        "print(aftune.__file__, len(shipped_recipes()), len(aftune.load_problems('arithmetic', 'train[:3]')))"
    )
    place, recipes, problems = run(built.bin / "python", "-c", code, cwd=tmp_path).split()
    assert Path(place).is_relative_to(built.bin.parent)
    assert (int(recipes), problems) == (len(list((ROOT / "recipes").glob("*.yaml"))), "3")
