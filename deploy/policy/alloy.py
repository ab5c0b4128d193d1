"""Alloy's configuration syntax, as far as its blocks, arguments and references go: https://grafana.com/docs/alloy (configuration syntax)."""

import re
from dataclasses import dataclass, field

TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*|/\*.*?\*/)|(?P<string>"(?:\\.|[^"\\])*"|`[^`]*`)|(?P<number>\d+(?:\.\d+)?)"""
    r"""|(?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)|(?P<sign>[{}()\[\],=+*/.<>!&|-])""",
    re.DOTALL,
)
LITERALS = {"true", "false", "null"}


class Mistake(ValueError):
    """The text is none that Alloy would read."""


@dataclass
class Block:
    name: str
    label: str = ""
    values: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    blocks: list["Block"] = field(default_factory=list)

    def arguments(self) -> list[str]:
        """Paths of all arguments, those of blocks behind the block's name."""
        return list(self.values) + [f"{block.name}.{path}" for block in self.blocks for path in block.arguments()]

    def references(self) -> list[str]:
        """Names with dots in values: components and what they export, and functions."""
        own = [text for value in self.values.values() for kind, text in value if kind == "name" and "." in text]
        return own + [found for block in self.blocks for found in block.references()]


def _tokens(text: str) -> list[tuple[str, str, int]]:
    place, found = 0, []
    while place < len(text):
        token = TOKEN.match(text, place)
        line = text.count("\n", 0, place) + 1
        if not token:
            raise Mistake(f"line {line}: {text[place : place + 20]!r}")
        if token.lastgroup != "space":
            found.append((token.lastgroup, token[0], line))
        place = token.end()
    return found


class _Reader:
    def __init__(self, text: str):
        self.tokens, self.place = _tokens(text), 0

    def peek(self, ahead: int = 0):
        place = self.place + ahead
        return self.tokens[place] if place < len(self.tokens) else ("end", "", -1)

    def take(self, wanted: str | None = None):
        token = self.peek()
        if wanted and token[1] != wanted:
            raise Mistake(f"line {token[2]}: {token[1]!r} where {wanted!r} should be")
        self.place += 1
        return token

    def body(self, into: Block, last: str) -> Block:
        """Arguments and blocks up to `last`."""
        while self.peek()[1] != last:
            kind, name, line = self.take()
            if kind != "name":
                raise Mistake(f"line {line}: {name!r} where a name should be")
            if self.peek()[1] == "=":
                self.take("=")
                if name in into.values:
                    raise Mistake(f"line {line}: {name} is there twice")
                into.values[name] = self.value(line)
                continue
            label = self.take()[1].strip('"') if self.peek()[0] == "string" else ""
            self.take("{")
            into.blocks.append(self.body(Block(name, label), "}"))
            self.take("}")
        return into

    def value(self, line: int) -> list[tuple[str, str]]:
        """The tokens of an expression: to the end of its line, or to where its brackets close."""
        depth, tokens = 0, []
        while True:
            kind, text, here = self.peek()
            if kind == "end" or (depth == 0 and (here > line or text == "}")):
                break
            if text in "([{" and kind == "sign":
                depth += 1
            elif text in ")]}" and kind == "sign":
                depth -= 1
            # the keys of an object are no references
            is_key = kind == "name" and depth > 0 and self.peek(1)[1] == "="
            tokens.append(("key" if is_key or text in LITERALS else kind, text))
            self.take()
            line = here
        if depth or not tokens:
            raise Mistake(f"line {line}: a value that does not end, or is not there")
        return tokens


def parse(text: str) -> list[Block]:
    """The components of a file."""
    return _Reader(text).body(Block(""), "").blocks
