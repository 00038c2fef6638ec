"""Multiple choice: `The answer is (C).`, `C) 21`, the text of an option or its value.

A letter counts where it names an option: in the place of an answer, in brackets, after "option", or alone. The article "a", the
pronoun "I" and the letters of a list of options that the response repeats do not.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from aftune.answers import numbers
from aftune.answers.cleaning import clean, plain
from aftune.answers.option_lists import without_echoes, without_lists
from aftune.answers.options import LABEL, normal, parse_options, same_option
from aftune.answers.statements import Statement, after_thinking, all_asked_for, any_format, before_next_question, shorten
from aftune.answers.verdicts import NOTHING, Format, Found, Reading
from aftune.records.questions import LETTERS

_MAX_LINE = 600  # characters of the last line, where nothing is stated
_WITHOUT_OPTIONS = 10  # letters A to J where the options are not known

_QUOTES = re.compile(r"[\"'`*_$<>{}\\]+")
_SAID = (
    r"(?:(?:the\s+)?(?:best\s+|correct\s+|right\s+|final\s+)?(?:option|choice|answer|letter|alternative)s?\s*(?:is|are|:|=)?"
    r"|(?:(?:most|very|quite|almost) )?(?:likely|probably|definitely|clearly|simply|certainly|surely|possibly|obviously)"
    r"|either|both|indeed|for sure|(?:to|must|should|would|has to) be|i (?:think|believe|would say)|that|it(?:['’]s| is)"
    r"|\W)*+\s*"
)
_NAMED = re.compile(rf"^{_SAID}[(\[]?(?P<letter>[A-Z])(?P<close>[)\]])?(?P<rest>(?![A-Za-z0-9'’]).*)$", re.DOTALL)
_LABELLED = re.compile(r"^\W*(?:\(([A-Z])\)|\[([A-Z])\]|([A-Z])[).:])\s*(?=\S)")
_CAPITAL = re.compile(r"([A-Z])()(?:[).:]\s*|\s+)\S")  # of a gold answer: "C Cecile"
_ALONE = re.compile(r"^\W*([A-Za-z])\W*$")
_BRACKETED = re.compile(r"^\W*[(\[]([a-z])[)\]](?![A-Za-z])")
_SMALL_LABEL = re.compile(r"^\W*([a-z])[).](?:\s|$)")
_SECOND = re.compile(
    r"^\s*(?:,|/|;|&|\+|or|and|and/or|,\s*(?:and|or))\s*(?:option\s*)?[(\[]?([A-Z])(?![A-Za-z0-9'’])", re.IGNORECASE
)
# After a capital "A" or "I": signs that it is the letter of an option and not a word of the sentence.
_LETTER_FOLLOWS = re.compile(
    r"^\s*(?:$|[.,:;)\]\-–—=|!?]|(?:because|since|as|is|was|due|for the|which|and|or|given|the|with)\b)", re.IGNORECASE
)
_NOT_BUT = re.compile(r"^\W*not\b.*?\b(?:but|rather|instead)\b\s*", re.IGNORECASE)
_NOT = re.compile(r"^\W*(?:not|neither|n't)\b", re.IGNORECASE)
_LABEL_LINE = re.compile(r"^\W*(?:\(([A-Z])\)|([A-Z])\s)", re.MULTILINE)
_MENTION = re.compile(
    r"\*\*\W*(?P<bold>[A-Z])(?:[).:][^*\n]*)?\W*\*\*"
    r"|\((?P<bracket>[A-Z])\)"
    r"|\b(?:[Oo]ption|OPTION|[Cc]hoice|CHOICE)s?\W{1,3}(?P<named>[A-Z])(?![A-Za-z0-9'’])"
    r"|(?<![A-Za-z0-9'’])(?P<verb>[A-Z])\)?\s+is\s+(?:the\s+)?(?:best|correct|right|answer|true)"
    r"|(?:^|[.:=]\s*|\b(?:is|be|it['’]s|It['’]s|est|es|ist)\s+)(?P<last>[A-Z])[.)]?\s*$"
    r"|\b(?:pick|choose|chose|select|go with)\s+(?P<pick>[A-Z])(?=\s*(?:$|[.,;:)—–]|because|since))"
    r"|\best\s+(?P<est>[A-Z])\b"
    r"|^\s*(?P<line>[A-Z])(?:[).:]\s|(?=[\u2e80-\u9fff]))",
    re.MULTILINE,
)
# "The correct option is": what follows states an answer, whatever else the sentence names.
_DECLARED = re.compile(r"(?<!other )\b(?:option|choice|alternative)\s*(?:is|=|:|(?:would|must|should) be)\s+(?=\S)", re.IGNORECASE)
_NOT_BEFORE = re.compile(
    r"(?:\b(?:not|cannot|never|neither|nor|than|unlike|except|eliminat\w*|rul\w* out|incorrect|wrong)|n['’]t)\W+(?:\w+\W+){0,2}$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ChoiceKind:
    """Answers that are one of several options, read as its letter. `form`: what the prompt asks for."""

    form: Format = "phrase"

    @property
    def name(self) -> str:
        return "choice"

    def read(self, text: str, reading: Reading, options: Sequence[str] | None = None) -> Found:
        """The letter, from "A" to that of the last option (to "J" where they are not given). A statement that names two
        options, or the letter of one and the text of another, is ambiguous; one that names none gives no answer."""
        text = shorten(text)
        reader = _Reader(tuple(options) if options else ())
        if reading == "strict":
            stated = without_echoes(all_asked_for(text, self.form), text, reader.options)
            return reader.of_statement(stated[-1]) if stated else NOTHING
        text = after_thinking(text)
        opening: Statement | None = None
        for statement in reversed(without_echoes(any_format(text, line_marker=False), text, reader.options)):
            found = reader.of_statement(statement)
            if found.reason == "no answer" and statement.opens and text[statement.end :].strip():
                opening = statement  # "Answer:" before the working
                continue
            return found
        return reader.of_text(text[opening.end :] if opening else text)

    def equal(self, answer: str, gold: str, options: Sequence[str] | None = None) -> bool:
        """`gold`: a letter ("C", "(C)") or, where the options are given, the text of one."""
        wanted = _Reader(tuple(options) if options else ()).of_gold(gold)
        if wanted is None:
            return False
        return answer == wanted or bool(options and same_option(options, answer, wanted))


@dataclass(frozen=True, slots=True)
class _Reader:
    options: tuple[str, ...]

    @property
    def letters(self) -> str:
        return LETTERS[: len(self.options) or _WITHOUT_OPTIONS]

    def of_gold(self, gold: str) -> str | None:
        alone = _ALONE.match(gold)
        if alone and alone[1].upper() in LETTERS[: len(self.options) or 26]:
            return alone[1].upper()
        label = LABEL.match(gold)
        if label and label.end() and (label[1] or label[2]).upper() in self.letters:
            letter = (label[1] or label[2]).upper()
            if not self.options or normal(gold[label.end() :]) == parse_options(self.options)[LETTERS.index(letter)].text:
                return letter
        named = _CAPITAL.match(gold) or next(reversed(list(_LABEL_LINE.finditer(gold))), None)
        if not self.options and named and (named[1] or named[2]) in self.letters:
            return named[1] or named[2]
        return self._by_text(gold)

    def of_statement(self, statement: Statement) -> Found:
        text = plain(clean(statement.text))
        text = _NOT_BUT.sub("", text)
        labelled = _LABELLED.match(text)
        by_text = None if labelled and (labelled[1] or labelled[2] or labelled[3]) in self.letters else self._by_text(text)
        if by_text:
            return Found(by_text, "read")
        if _NOT.match(text):
            return Found(None, "no answer", statement.text[:80])
        bare = _QUOTES.sub(" ", text).strip()
        small = _ALONE.match(bare) or _BRACKETED.match(bare) or _SMALL_LABEL.match(bare)
        if small and small[1].upper() in self.letters:
            return self._checked(small[1].upper(), bare[small.end() :])
        named = _NAMED.match(bare)
        if named and named["letter"] in self.letters and self._is_letter(named, bare):
            second = _SECOND.match(named["rest"])
            if second and second[1].isupper() and second[1] in self.letters and not self._same(second[1], named["letter"]):
                return Found(None, "ambiguous", statement.text[:80])
            return self._checked(named["letter"], named["rest"])
        beginning = self._by_beginning(bare)
        if beginning:
            return beginning
        mentioned = {m["bracket"] or m["named"] or m["bold"] for m in _MENTION.finditer(text)} & set(self.letters)
        if len(mentioned) == 1:
            return Found(mentioned.pop(), "read")
        if mentioned:
            return Found(None, "ambiguous", statement.text[:80])
        value = self._by_value(bare)
        if value:
            return value
        return Found(None, "no answer", statement.text[:80])

    def _is_letter(self, named: re.Match[str], text: str) -> bool:
        letter = named["letter"]
        if letter not in "AI" or named["close"]:
            return True
        if named.start("letter") and re.search(r"(?:option|choice|letter)\W*$", text[: named.start("letter")], re.IGNORECASE):
            return True
        if not _LETTER_FOLLOWS.match(named["rest"]):
            # "A 21" names option A where its text follows; "A car" is an article.
            index = LETTERS.index(letter)
            text_of = parse_options(self.options)[index].text if index < len(self.options) else ""
            return bool(text_of) and (normal(named["rest"]) + " ").startswith(text_of + " ")
        return True

    def _checked(self, letter: str, rest: str) -> Found:
        """The letter, unless the text after it is that of another option."""
        other = self._by_text(rest) if rest.strip() else None
        if other and other != letter and not same_option(self.options, letter, other):
            return Found(None, "ambiguous", f"{letter} with the text of {other}")
        return Found(letter, "read")

    def _same(self, left: str, right: str) -> bool:
        return left == right or bool(self.options and same_option(self.options, left, right))

    def _by_text(self, text: str) -> str | None:
        """The letter of the option whose text this is."""
        if not self.options:
            return None
        wanted = normal(text)
        if not wanted:
            return None
        if len(wanted) == 1 and wanted.upper() in self.letters:
            return None  # a letter names its option before it is the text of one
        matching = [LETTERS[i] for i, option in enumerate(parse_options(self.options)) if option.text == wanted]
        return matching[0] if matching else None

    def _by_beginning(self, text: str) -> Found | None:
        """The option whose text the statement begins with, the longest one where several do."""
        if not self.options:
            return None
        said = normal(re.sub(r"^(?:that|it is|it's|to|they|be)\b", "", text, flags=re.IGNORECASE)) + " "
        options = parse_options(self.options)
        matching = [i for i, option in enumerate(options) if option.text and said.startswith(option.text + " ")]
        if not matching:
            return None
        longest = max(matching, key=lambda i: len(options[i].text))
        rest = said[len(options[longest].text) :]
        after = normal(re.sub(r"^ (?:or|and)\b", "", rest)) + " "
        joined = re.match(r" (?:or|and)\b", rest) or re.match(r"\s*[,/;]", text[len(options[longest].text) :])
        if joined and any(o.text and after.startswith(o.text + " ") for n, o in enumerate(options) if n != longest):
            return Found(None, "ambiguous", text[:80])
        return Found(LETTERS[longest], "read")

    def _by_value(self, text: str) -> Found | None:
        """The option whose number has the value of the statement's only number."""
        options = parse_options(self.options)
        if sum(option.number is not None for option in options) < 2:
            return None
        number = numbers.parse(text)
        if number is None:
            return None
        values = [(i, option.number) for i, option in enumerate(options) if option.number is not None]
        exact = [i for i, other in values if other.value == number.value]
        matching = exact or [i for i, other in values if numbers.same_number(number, other)]
        if not matching:
            return None
        if any(not same_option(self.options, LETTERS[matching[0]], LETTERS[i]) for i in matching[1:]):
            return Found(None, "ambiguous", f"the value of several options: {text[:60]}")
        return Found(LETTERS[matching[0]], "read")

    def of_text(self, text: str) -> Found:
        """Where nothing is stated: the last option that is named; else the last value."""
        text = before_next_question(text, lambda before: bool(re.search(r"[A-Za-z0-9]", before)))
        text = without_lists(clean(text[-2000:])).strip()
        if not text:
            return NOTHING
        whole = self._whole(text)
        if whole:
            return whole
        lines = [line for line in text.split("\n") if line.strip()]
        whole = self._whole(lines[-1]) if lines else None
        if whole:
            return whole
        last: Found | None = None
        for line in reversed(lines[-6:]):
            for sentence in reversed(re.split(r"(?<=[^\s.][.!?])\s", line)):
                declared = _DECLARED.search(sentence)
                if declared and not _NOT_BEFORE.search(sentence[: declared.start()]):
                    found = self.of_statement(Statement(sentence[declared.end() :], declared.start(), len(sentence), "phrase"))
                    if found.reason != "no answer":
                        return found
                mentions = [m for m in _MENTION.finditer(plain(sentence)) if not _NOT_BEFORE.search(plain(sentence)[: m.start()])]
                letters = [next(g for g in m.groups() if g) for m in mentions]
                letters = [letter for letter in letters if letter in self.letters]
                if letters:
                    if len(set(letters)) > 1:
                        return Found(None, "ambiguous", sentence[:80])
                    last = Found(letters[0], "read")
                    break
            if last:
                return last
        return self._last_value(lines)

    def _whole(self, text: str) -> Found | None:
        """A text that is nothing but an answer: a letter, a letter with its option's text, or an option's text."""
        bare = _QUOTES.sub(" ", plain(text)).strip()
        by_text = self._by_text(bare)
        if by_text:
            return Found(by_text, "read")
        alone = _ALONE.match(bare)
        if alone and alone[1].upper() in self.letters:
            return Found(alone[1].upper(), "read")
        label = LABEL.match(bare)
        if label and (label[1] or label[2]).upper() in self.letters and "\n" not in bare:
            return self._checked((label[1] or label[2]).upper(), bare[label.end() :])
        return None

    def _last_value(self, lines: list[str]) -> Found:
        if not self.options or not lines:
            return NOTHING
        lines = [lines[-1][-_MAX_LINE:]]
        found = numbers.NUMBER.read(lines[-1], "flexible")
        by_value = self._by_value(found.answer) if found.answer else None
        if by_value:
            return by_value
        said = f" {normal(lines[-1])} "
        parsed = parse_options(self.options)
        texts = [i for i, option in enumerate(parsed) if option.text and option.number is None and f" {option.text} " in said]
        texts = [i for i in texts if not any(j != i and f" {parsed[i].text} " in f" {parsed[j].text} " for j in texts)]
        if len(texts) == 1:
            return Found(LETTERS[texts[0]], "read")
        return Found(None, "ambiguous", lines[-1][:80]) if len(texts) > 1 else NOTHING


CHOICE = ChoiceKind()
