"""LaTeX parsed in two stages, as ANTLR advises: the fast prediction mode first, the general one where that finds an error.

A parse without an error is the same in both (`antlr4.atn.PredictionMode`). latex2sympy2 has no setting for it, so its parser is
changed in this process, a worker; a version without these methods stays as it is.
"""

from typing import Any

from antlr4.atn.PredictionMode import PredictionMode
from latex2sympy2_extended import latex2sympy2


def parse_in_two_stages() -> bool:
    """Changes the parser, once a process; False where it has another form than this knows."""
    converter: Any = getattr(latex2sympy2, "_Latex2Sympy", None)
    create, parse = getattr(converter, "create_parser", None), getattr(converter, "parse", None)
    if create is None or parse is None:
        return False

    def create_parser(self: Any, text: str) -> Any:
        parser = create(self, text)
        parser._interp.predictionMode = getattr(self, "_prediction_mode", PredictionMode.LL)
        return parser

    def parse_twice(self: Any, text: str) -> Any:
        self._prediction_mode = PredictionMode.SLL
        try:
            return parse(self, text)
        except Exception:
            self._prediction_mode = PredictionMode.LL
            return parse(self, text)

    converter.create_parser, converter.parse = create_parser, parse_twice
    return True
