"""PromQL as text: the selectors and the few shapes of query that the dashboards repeat."""

WINDOW = "$__rate_interval"

# Every series of a service has these labels (docs/dashboards.md); the variables choose among them.
SCOPE = 'service_namespace=~"$namespace", service_name=~"$service", instance=~"$pod"'
# RED metrics may come from the services or from OBI; `job` tells which.
RED_SCOPE = SCOPE + ', job=~"$source"'


def series(metric, extra="", scope=SCOPE):
    """A selector: the metric within what the variables choose."""
    matchers = ", ".join(part for part in (scope, extra) if part)
    return f"{metric}{{{matchers}}}" if matchers else metric


def per_second(metric, by="", extra="", scope=SCOPE):
    """The rate of a counter, summed over all but the labels in `by`."""
    return f"{_sum(by)}(rate({series(metric, extra, scope)}[{WINDOW}]))"


def total(metric, by="", extra="", scope=SCOPE):
    return f"{_sum(by)}({series(metric, extra, scope)})"


def highest(metric, by="", extra="", scope=SCOPE):
    grouping = f" by ({by}) " if by else ""
    return f"max{grouping}({series(metric, extra, scope)})"


def quantile(share, histogram, by="", extra="", scope=SCOPE):
    """A quantile of a histogram; `histogram` without `_bucket`."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, {per_second(histogram + '_bucket', labels, extra, scope)})"


def mean(histogram, by="", extra="", scope=SCOPE):
    return f"{per_second(histogram + '_sum', by, extra, scope)} / {per_second(histogram + '_count', by, extra, scope)}"


def share(metric, bad, by="", extra="", scope=SCOPE):
    """The share of `bad` in all of a counter: 0, and not nothing, where none is bad."""
    everything = per_second(metric, by, extra, scope)
    wrong = per_second(metric, by, ", ".join(part for part in (extra, bad) if part), scope)
    return f"({wrong} or {everything} * 0) / ({everything} > 0)"


def slower_than(seconds, histogram, by="", extra="", scope=SCOPE):
    """How many a second took longer than a bound, which has to be one of the buckets."""
    within = per_second(histogram + "_bucket", by, ", ".join(part for part in (extra, f'le="{seconds}"') if part), scope)
    return f"{per_second(histogram + '_count', by, extra, scope)} - {within}"


def top(number, query):
    return f"topk({number}, {query})"


def _sum(by):
    return f"sum by ({by}) " if by else "sum"
