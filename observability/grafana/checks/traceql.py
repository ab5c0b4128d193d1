"""A parser for the part of TraceQL that the dashboards use, after Tempo's documentation. It says where a query is wrong, and
translates what a search by tags can do."""

import re

TOKEN = re.compile(
    r'\s*(?:(?P<string>"(?:\\.|[^"\\])*"|`[^`]*`)|(?P<number>-?\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h)?)'
    r"|(?P<op>&&|\|\||>>|<<|!=|=~|!~|>=|<=|[{}()|=<>~,+*/^-])|(?P<name>(?:span|trace|event|link|instrumentation):[A-Za-z]+|\.?[A-Za-z_][\w.\-]*))"
)
INTRINSICS = {"name", "status", "statusMessage", "kind", "duration", "childCount", "parent"}
INTRINSICS |= {"traceDuration", "rootName", "rootServiceName", "nestedSetParent", "nestedSetLeft", "nestedSetRight"}
SCOPED = {"span:duration", "span:name", "span:kind", "span:status", "span:statusMessage", "span:id", "span:parentID", "span:childCount"}
SCOPED |= {
    "trace:duration",
    "trace:rootName",
    "trace:rootService",
    "trace:id",
    "event:name",
    "event:timeSinceStart",
    "link:spanID",
    "link:traceID",
}
ENUMS = {"ok", "error", "unset", "server", "client", "producer", "consumer", "internal", "unspecified", "nil", "true", "false"}
SCOPES = ("span.", "resource.", "parent.", "event.", "link.", "instrumentation.", ".")
COMPARISONS = {"=", "!=", "=~", "!~", ">", "<", ">=", "<="}
STRUCTURE = {"&&", "||", ">", ">>", "<", "<<", "~"}
SPANSETS = {"count", "avg", "min", "max", "sum", "by", "select", "coalesce"}
METRICS = {
    "rate",
    "count_over_time",
    "sum_over_time",
    "avg_over_time",
    "min_over_time",
    "max_over_time",
    "quantile_over_time",
    "histogram_over_time",
}


class Wrong(Exception):
    """What is wrong with a query, and where."""


class Query:
    """A parsed query; `comparisons` are (field, operator, value) of its first span set, `plain` where it has nothing else than
    comparisons that all have to hold."""

    def __init__(self, text):
        self.text, self.comparisons, self.plain = text, [], True
        self._tokens, at = [], 0
        while text[at:].strip():
            found = TOKEN.match(text, at)
            if not found:
                raise Wrong(f"at {at}: {text[at:].strip()[:20]!r} is no part of TraceQL")
            self._tokens.append((found.lastgroup, found.group(found.lastgroup), found.start(found.lastgroup)))
            at = found.end()
        self._place = 0
        self._spansets()
        while self._take("|"):
            self.plain = False
            self._stage()
        if self._place < len(self._tokens):
            self._fail("the end")

    def _spansets(self):
        self._spanset()
        while self._peek() in STRUCTURE:
            self.plain = False
            self._next()
            self._spanset()

    def _spanset(self):
        if self._take("("):
            self._spansets()
            self._want(")")
            return
        self._want("{")
        if self._peek() != "}":
            self._any()
        self._want("}")

    def _any(self):
        self._all()
        while self._take("||"):
            self.plain = False
            self._all()

    def _all(self):
        self._one()
        while self._take("&&"):
            self._one()

    def _one(self):
        if self._take("("):
            self.plain = False
            self._any()
            self._want(")")
            return
        field = self._value()
        if self._peek() not in COMPARISONS:
            self._fail("a comparison")
        operator = self._next()[1]
        self.comparisons.append((field, operator, self._value()))

    def _value(self):
        kind, text, at = self._next()
        if kind in ("string", "number"):
            return text
        if kind == "name" and (text in INTRINSICS | SCOPED | ENUMS or text.startswith(SCOPES)):
            return text
        raise Wrong(
            f"at {at}: {text!r} is no field, which is span.NAME, resource.NAME, .NAME or one of {', '.join(sorted(INTRINSICS))}, and no value"
        )

    def _stage(self):
        kind, text, at = self._next()
        if kind != "name" or text not in SPANSETS | METRICS:
            raise Wrong(f"at {at}: {text!r} is no stage: {', '.join(sorted(SPANSETS | METRICS))}")
        self._want("(")
        while not self._take(")"):
            self._value()
            self._take(",")
        if text in METRICS and self._peek() == "by":
            self._stage()
        if text in ("count", "avg", "min", "max", "sum"):
            if self._peek() not in COMPARISONS:
                self._fail("a comparison")
            self._next()
            self._value()

    def _peek(self):
        return self._tokens[self._place][1] if self._place < len(self._tokens) else ""

    def _next(self):
        if self._place >= len(self._tokens):
            self._fail("more")
        self._place += 1
        return self._tokens[self._place - 1]

    def _take(self, text):
        if self._peek() != text:
            return False
        self._place += 1
        return True

    def _want(self, text):
        if not self._take(text):
            self._fail(repr(text))

    def _fail(self, wanted):
        at = self._tokens[self._place][2] if self._place < len(self._tokens) else len(self.text)
        raise Wrong(f"at {at}: {wanted} is expected, and there is {self._peek() or 'nothing'!r}")


def as_tags(query):
    """Parameters of a search by tags that finds the same, or None where tags cannot say it."""
    if not query.plain or not query.comparisons:
        return None
    tags, parameters = [], {"limit": 20}
    for field, operator, value in query.comparisons:
        if field == "duration" and operator in (">", ">="):
            parameters["minDuration"] = value
        elif operator == "=" and field == "kind":
            tags.append(f"span.kind={value}")
        elif operator == "=" and (field, value) == ("status", "error"):
            tags.append("error=true")
        elif operator == "=" and field.startswith(("span.", "resource.")) and " " not in value:
            tags.append(f"{field.split('.', 1)[1]}={value.strip(chr(34))}")
        else:
            return None
    return parameters | {"tags": " ".join(tags)} if tags else None
