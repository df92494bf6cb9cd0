"""YAML read by its nodes, so that every problem has its line and column. Pure.

A scalar is taken as it is written: `NO` is Norway and `08:30` a time, whatever YAML 1.1 makes of them. Anchors are
refused: a mapping is read by people.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

import yaml
from rapidfuzz import fuzz, process
from yaml.constructor import SafeConstructor

from worker.engine.mapping_model import Problem

MAX_CHARACTERS = 200_000
_NULL = "tag:yaml.org,2002:null"
_SHOWN = 8


def did_you_mean(word: str, options: Sequence[str]) -> str | None:
    """The option nearest to a mistyped word, or what there is; None without options."""
    if not options:
        return None
    found = process.extractOne(word.casefold(), options, scorer=fuzz.ratio, processor=str.casefold, score_cutoff=60)
    if found is not None:
        return f'Did you mean "{found[0]}"?'
    shown = ", ".join(options[:_SHOWN])
    return f"There is: {shown}{' ...' if len(options) > _SHOWN else ''}."


class Problems:
    """Collects every problem of one text."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.found: list[Problem] = []

    def add(self, node: yaml.Node | None, path: str, message: str, hint: str | None = None) -> None:
        mark = node.start_mark if node is not None else None
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        self.found.append(Problem(line, column, path, message, hint, self.source))

    def in_order(self) -> tuple[Problem, ...]:
        return tuple(sorted(self.found, key=lambda problem: (problem.line, problem.column)))


def compose(text: str, problems: Problems) -> yaml.Node | None:
    """The root node; None, and a problem, if the text is no YAML."""
    if len(text) > MAX_CHARACTERS:
        problems.add(None, "", f"a mapping of more than {MAX_CHARACTERS:,} characters is not read")
        return None
    try:
        if _has_alias(text, problems):
            return None
        node: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        problems.found.append(Problem(line, column, "", f"this is no YAML: {error.problem}", None, problems.source))
        return None
    except (yaml.YAMLError, RecursionError) as error:
        problems.add(None, "", f"this is no YAML: {str(error).splitlines()[0]}")
        return None
    if node is None:
        problems.add(None, "", "the mapping is empty")
    return node


def _has_alias(text: str, problems: Problems) -> bool:
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if getattr(event, "anchor", None) is not None:
            mark = event.start_mark
            assert mark is not None  # noqa: S101 - a parsed text always has marks; the stubs say Optional
            message = "anchors and aliases (& and *) are not read"
            problems.found.append(
                Problem(mark.line + 1, mark.column + 1, "", message, "Write it out.", problems.source)
            )
            return True
    return False


def plain(node: yaml.Node) -> Any:
    """What YAML makes of a node: for what is left to somebody else."""
    return SafeConstructor().construct_document(node)


def is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == _NULL


def scalar(node: yaml.Node) -> str | None:
    """The text of a scalar as written, None for what is no scalar or empty."""
    if not isinstance(node, yaml.ScalarNode) or is_null(node):
        return None
    return str(node.value).strip()


class Section:
    """One mapping of the text. Every key must be taken; `finish` reports those that nobody knows."""

    def __init__(self, node: yaml.Node | None, path: str, problems: Problems) -> None:
        self.node = node
        self.path = path
        self.problems = problems
        self._before = len(problems.found)
        self._entries: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        self._asked: list[str] = []
        if isinstance(node, yaml.MappingNode):
            self._read(node)
        elif node is not None and not is_null(node):
            problems.add(node, path, "here stand names with values, like `name: value`")

    def _read(self, node: yaml.MappingNode) -> None:
        for key, value in node.value:
            name = scalar(key)
            if name is None:
                self.problems.add(key, self.path, "this is no name")
            elif name in self._entries:
                first = self._entries[name][0].start_mark.line + 1
                self.problems.add(key, self.under(name), f"said twice, first in line {first}")
            else:
                self._entries[name] = (key, value)

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    @property
    def line(self) -> int:
        return self.node.start_mark.line + 1 if self.node is not None else 0

    @property
    def column(self) -> int:
        return self.node.start_mark.column + 1 if self.node is not None else 0

    @property
    def sound(self) -> bool:
        """Whether nothing wrong was found since this section was begun."""
        return len(self.problems.found) == self._before

    def under(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def wrong(self, name: str, message: str, hint: str | None = None) -> None:
        """A problem with the value of `name`, or with the section if it is not there."""
        found = self._entries.get(name)
        self.problems.add(found[1] if found is not None else self.node, self.under(name), message, hint)

    def take(self, name: str) -> yaml.Node | None:
        """The value's node; None if it is missing or empty."""
        self._asked.append(name)
        found = self._entries.get(name)
        return None if found is None or is_null(found[1]) else found[1]

    def section(self, name: str) -> Section | None:
        node = self.take(name)
        return Section(node, self.under(name), self.problems) if node is not None else None

    def nodes(self, name: str) -> list[tuple[str, yaml.Node]] | None:
        """The members of a list with their paths; None if there is none."""
        node = self.take(name)
        if node is None:
            return None
        if not isinstance(node, yaml.SequenceNode):
            self.wrong(name, "here stands a list, like [one, two] or lines that begin with a dash")
            return None
        return [(f"{self.under(name)}[{number}]", member) for number, member in enumerate(node.value)]

    def sections(self, name: str) -> Iterator[Section]:
        for path, node in self.nodes(name) or ():
            yield Section(node, path, self.problems)

    def pairs(self, name: str) -> list[tuple[str, str]] | None:
        """A table of texts: name -> text."""
        table = self.section(name)
        if table is None:
            return None
        found = []
        for key in list(table._entries):
            text = table.text(key)
            if text is not None:
                found.append((key, text))
        return found

    def text(self, name: str) -> str | None:
        node = self.take(name)
        if node is None:
            return None
        found = scalar(node)
        if found is None:
            self.wrong(name, "here stands one word or text")
        return found

    def choice(self, name: str, options: Sequence[str]) -> str | None:
        """One of the words; None if it is missing or another (a problem then)."""
        word = self.text(name)
        if word is None or word in options:
            return word
        self.wrong(name, f'there is no "{word}" here', did_you_mean(word, options))
        return None

    def texts(self, name: str) -> list[tuple[yaml.Node, str, str]] | None:
        """A list of words: node, path, word."""
        members = self.nodes(name)
        if members is None:
            return None
        found = []
        for path, node in members:
            word = scalar(node)
            if word is None:
                self.problems.add(node, path, "here stands one word or text")
            else:
                found.append((node, path, word))
        return found

    def choices(self, name: str, options: Sequence[str]) -> tuple[str, ...] | None:
        members = self.texts(name)
        if members is None:
            return None
        for node, path, word in members:
            if word not in options:
                self.problems.add(node, path, f'there is no "{word}" here', did_you_mean(word, options))
        return tuple(dict.fromkeys(word for _, _, word in members if word in options))

    def whole(self, name: str, least: int = 0, most: int = 1_000_000_000) -> int | None:
        word = self.text(name)
        if word is None:
            return None
        if not word.isascii() or not word.isdigit() or not least <= int(word) <= most:
            self.wrong(name, f'"{word}" is no whole number from {least:,} to {most:,}')
            return None
        return int(word)

    def amount(self, name: str) -> Decimal | None:
        word = self.text(name)
        if word is None:
            return None
        number = _decimal(word)
        if number is None or number < 0:
            self.wrong(name, f'"{word}" is no amount', "Write it like 10000 or 9999.50.")
            return None
        return number

    def share(self, name: str) -> Decimal | None:
        """A percentage (`10%`) as a fraction (0.10)."""
        word = self.text(name)
        if word is None:
            return None
        number = _decimal(word.removesuffix("%").strip()) if word.endswith("%") else None
        if number is None or not 0 <= number <= 100:
            self.wrong(name, f'"{word}" is no percentage from 0% to 100%', "Write it like 10%.")
            return None
        return number / 100

    def day(self, name: str) -> date | None:
        word = self.text(name)
        if word is None:
            return None
        try:
            return date.fromisoformat(word)
        except ValueError:
            self.wrong(name, f'"{word}" is no day', "Write it like 2026-11-01.")
            return None

    def finish(self) -> None:
        """Report the keys that nobody asked for."""
        for name, (key, _) in self._entries.items():
            if name not in self._asked:
                hint = did_you_mean(name, list(dict.fromkeys(self._asked)))
                self.problems.add(key, self.under(name), f'"{name}" is not known here', hint)


def _decimal(word: str) -> Decimal | None:
    try:
        number = Decimal(word)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
