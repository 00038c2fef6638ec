"""A tutorial whose run several tests look at."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tutorials import Tutorial


@pytest.fixture(scope="session")
def end_to_end(tmp_path_factory: pytest.TempPathFactory) -> "Tutorial":
    pytest.importorskip("nbclient", reason="needs the extra docs")
    import tutorials

    return tutorials.run(tutorials.run_notebooks.FOLDER / "end-to-end.ipynb", tmp_path_factory.mktemp("end-to-end"))
