"""The row that each protocol has: rate, errors, duration, what is slowest, how it is distributed."""

from . import links, panels, queries
from .queries import RED_SCOPE

LINES = '{service_name=~"${service:regex}", level=~"WARN|ERROR"} | json'
QUANTILES = (0.5, 0.9, 0.95, 0.99)


class Edge:
    """A RED histogram, the labels that tell its operations apart, and which of them are errors."""

    def __init__(self, what, metric, by, legend, *, extra="", bad="", traceql="{}"):
        self.what, self.metric, self.by, self.legend = what, metric, by, legend
        self.extra, self.bad, self.traceql = extra, bad, traceql

    def rate(self, by="", more=""):
        return queries.per_second(self.metric + "_count", by, self._extra(more), RED_SCOPE)

    def quantile(self, share, by="", more=""):
        return queries.quantile(share, self.metric, by, self._extra(more), RED_SCOPE)

    def mean(self, by="", more=""):
        return queries.mean(self.metric, by, self._extra(more), RED_SCOPE)

    def errors(self, by="", bad=""):
        return queries.share(self.metric + "_count", bad or self.bad, by, self.extra, RED_SCOPE)

    def slower_than(self, seconds, by=""):
        return queries.slower_than(seconds, self.metric, by, self.extra, RED_SCOPE)

    def buckets(self):
        return queries.per_second(self.metric + "_bucket", "le", self.extra, RED_SCOPE)

    def _extra(self, more):
        return ", ".join(part for part in (self.extra, more) if part)


def rate(edge, title="Rate", *, by=None, legend=None, **more):
    by = edge.by if by is None else by
    target = panels.query(edge.rate(by), legend or edge.legend)
    return panels.timeseries(title, f"{edge.what} a second.", [target], unit="reqps", links=_ways_out(edge), stacked=True, **more)


def errors(edge, title="Errors", *, says, by=None, legend=None, **more):
    by = edge.by if by is None else by
    target = panels.query(edge.errors(by), legend or edge.legend)
    return panels.timeseries(title, says, [target], unit="percentunit", links=_ways_out(edge, "status = error"), **more)


def duration(edge, title="Duration", **more):
    targets = [panels.query(edge.quantile(share), f"p{share * 100:g}", exemplars=share == 0.99) for share in QUANTILES]
    says = f"Quantiles over all {edge.what} that the variables choose. Dots are single ones: each leads to its trace."
    return panels.timeseries(title, says, targets, unit="s", links=_ways_out(edge), **more)


def slowest(edge, title="Slowest, p95", *, number=10, **more):
    expression = queries.top(number, f"({edge.quantile(0.95, edge.by)} > 0)")
    return panels.bars(
        title, f"The {number} slowest by their 95th percentile.", expression, edge.legend, unit="s", links=_ways_out(edge), **more
    )


def busiest(edge, title="Where the time goes", *, number=10, **more):
    """Seconds a second: rate times duration, which is what a change would save."""
    spent = queries.per_second(edge.metric + "_sum", edge.by, edge.extra, RED_SCOPE)
    says = f"Seconds spent a second: how many there are, times how long they take. The {number} largest."
    return panels.bars(title, says, queries.top(number, spent), edge.legend, unit="s", **more)


def distribution(edge, title="Distribution of durations", **more):
    says = "How many took how long. A second band above the first one is a cause of its own; dots lead to traces."
    return panels.heatmap(title, says, edge.buckets(), **more)


def database(edge, operation, says):
    """The row of a database: who sends which operation, and whose are slow."""
    by_service = [panels.query(edge.quantile(0.95, "service_name"), "{{service_name}}")]
    return [
        rate(edge, f"By {operation}"),
        rate(edge, "By service", by="service_name", legend="{{service_name}}"),
        duration(edge),
        panels.timeseries("p95 by service", says, by_service, unit="s"),
        slowest(edge, f"Slowest {operation}s, p95"),
        distribution(edge),
    ]


def _ways_out(edge, condition=""):
    """To traces of the edge, and to what the chosen services logged."""
    query = edge.traceql
    if condition:
        inner = query.strip("{} ")
        query = "{ " + (f"{inner} && {condition}" if inner else condition) + " }"
    return [links.search("Traces", query), links.log_lines("Log lines", LINES)]
