"""A parser for the part of LogQL that the dashboards use: a stream selector, and stages. It says where a query is wrong."""

import re

SELECTOR = re.compile(r'\s*\{\s*(?:[A-Za-z_]\w*\s*(?:=~|!~|!=|=)\s*(?:"(?:\\.|[^"\\])*"|`[^`]*`)\s*,?\s*)+\}')
FILTER = re.compile(r'\s*(?:\|=|\|~|!=|!~|\|>|!>)\s*(?:"(?:\\.|[^"\\])*"|`[^`]*`)')
PARSER = re.compile(r"\s*\|\s*(?:json|logfmt|unpack)\b(?!\s*[=!<>])")
PATTERN = re.compile(r'\s*\|\s*(?:pattern|regexp|line_format|label_format|drop|keep)\s+(?:"(?:\\.|[^"\\])*"|`[^`]*`|[\w=", ]+)')
LABEL = r'[A-Za-z_]\w*\s*(?:=~|!~|!=|==|=|>=|<=|>|<)\s*(?:"(?:\\.|[^"\\])*"|`[^`]*`|[0-9][\w.]*)'
LABELS = re.compile(rf"\s*\|\s*{LABEL}(?:\s*(?:and|or|,)\s*{LABEL})*")

MATCHER = re.compile(r'(=~|!~|!=|=)\s*["`]((?:\\.|[^"`\\])*)["`]')


class Wrong(Exception):
    """What is wrong with a query, and where."""


def _is_something(operator, value):
    if operator == "=":
        return value != ""
    return operator == "=~" and not re.fullmatch(value, "")


def parse(text):
    """Labels that the stream selector names."""
    found = SELECTOR.match(text)
    if not found:
        raise Wrong(f'it has to begin with a stream selector such as {{service_name="orders"}}, and not with {text.strip()[:20]!r}')
    if not any(_is_something(*matcher) for matcher in MATCHER.findall(found.group(0))):
        raise Wrong('Loki wants a matcher that an absent label does not satisfy, such as level="INFO"')
    at = found.end()
    while text[at:].strip():
        stage = next((stage for kind in (FILTER, PARSER, PATTERN, LABELS) if (stage := kind.match(text, at))), None)
        if not stage:
            raise Wrong(f"at {at}: {text[at:].strip()[:30]!r} is no stage")
        at = stage.end()
    for pattern in re.findall(r'[=!|]~\s*"((?:\\.|[^"\\])*)"', text):
        try:
            re.compile(pattern)
        except re.error as problem:
            raise Wrong(f"{pattern!r} is no regular expression: {problem}") from None
    return set(re.findall(r"([A-Za-z_]\w*)\s*(?:=~|!~|!=|=)", found.group(0)))
