"""Which metrics and labels a PromQL expression names. No parser: Prometheus itself says whether the expression is right."""

import itertools
import re

TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|[A-Za-z_:][A-Za-z0-9_:]*|[0-9][A-Za-z0-9_.]*|=~|!~|!=|==|>=|<=|\S')
NAME = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}
WORDS = GROUPING | {"and", "or", "unless", "bool", "offset", "atan2", "inf", "nan"}
MAKES_A_LABEL = {"label_replace", "label_join"}


class Names:
    """What an expression names: metrics with the labels of their selectors, labels of groupings, labels that it makes itself."""

    def __init__(self, expression):
        self.selectors = []
        self.grouped = set()
        self.made = set()
        self._tokens = TOKEN.findall(expression)
        self._read()

    def metrics(self):
        return {metric for metric, _ in self.selectors if metric}

    def _read(self):
        at, opened = 0, []
        while at < len(self._tokens):
            token, following = self._tokens[at], self._at(at + 1)
            if token in ("[",):
                at = self._skip(at, "]")
                continue
            if token == "(":
                opened.append([None, 0])
            elif token == ")" and opened:
                opened.pop()
            elif token == "," and opened:
                opened[-1][1] += 1
            elif token[0] in "\"'" and opened and opened[-1][0] in MAKES_A_LABEL and opened[-1][1] == 1:
                self.made.add(token[1:-1])
            elif token.lower() in GROUPING:
                at = self._labels(at + 1)
                continue
            elif token == "{":
                at = self._selector("", at)
                continue
            elif NAME.fullmatch(token) and token.lower() not in WORDS:
                if following == "{":
                    at = self._selector(token, at + 1)
                    continue
                if following == "(":
                    opened.append([token, 0])
                    at += 2
                    continue
                if following not in ("by", "without"):
                    self.selectors.append((token, set()))
            at += 1

    def _at(self, at):
        return self._tokens[at] if at < len(self._tokens) else ""

    def _skip(self, at, end):
        while at < len(self._tokens) and self._tokens[at] != end:
            at += 1
        return at + 1

    def _labels(self, at):
        if self._at(at) != "(":
            return at
        end = self._skip(at, ")")
        self.grouped |= {token for token in self._tokens[at:end] if NAME.fullmatch(token)}
        return end

    def _selector(self, metric, at):
        end = self._skip(at, "}")
        inside = self._tokens[at:end]
        labels = {token for token, operator in itertools.pairwise(inside) if operator in ("=", "!=", "=~", "!~")}
        if "__name__" in labels and not metric:
            exact = [inside[place + 2][1:-1] for place, token in enumerate(inside) if token == "__name__" and inside[place + 1] == "="]
            metric = exact[0] if exact else ""
        self.selectors.append((metric, labels - {"__name__"}))
        return end
