"""The door: what callers ask of the gateway and what they get."""

from parts import panels, queries, red
from parts.dashboard import dashboard
from parts.queries import RED_SCOPE

METRIC = "http_server_request_duration_seconds"
SIZE = "http_server_request_body_size_bytes"
ROUTE = 'http_route=~"$route"'
SERVER_ERROR = 'http_response_status_code=~"5.."'
CLIENT_ERROR = 'http_response_status_code=~"4.."'
REQUESTS = red.Edge(
    "requests",
    METRIC,
    "http_request_method, http_route",
    "{{http_request_method}} {{http_route}}",
    extra=ROUTE,
    bad=SERVER_ERROR,
    traceql="{ kind = server && span.http.request.method != nil }",
)


def board():
    rows = [
        (None, _glance()),
        ("Rate", _rates()),
        ("Errors", _errors()),
        ("Duration", _durations()),
        ("Sizes", _sizes()),
        ("Traces and log lines", _single()),
    ]
    return dashboard("http", "Requests that the gateway answers, by route, method and status.", rows, with_route=True)


def _glance():
    green, red_ = panels.GREEN, panels.RED
    return [
        panels.stat("Requests", "Requests a second.", REQUESTS.rate(), unit="reqps", width=4),
        panels.stat(
            "5xx",
            "Share of requests answered with a server error.",
            REQUESTS.errors(),
            unit="percentunit",
            width=4,
            thresholds=panels.steps(green, (0.01, red_)),
        ),
        panels.stat(
            "4xx",
            "Share of requests that callers got wrong, 429 among them.",
            REQUESTS.errors(bad=CLIENT_ERROR),
            unit="percentunit",
            width=4,
        ),
        panels.stat("p50", "Half of the requests are answered within.", REQUESTS.quantile(0.5), unit="s", width=4),
        panels.stat(
            "p95",
            "19 of 20 requests are answered within.",
            REQUESTS.quantile(0.95),
            unit="s",
            width=4,
            thresholds=panels.steps(green, (0.5, red_)),
        ),
        panels.stat("p99", "99 of 100 requests are answered within.", REQUESTS.quantile(0.99), unit="s", width=4),
    ]


def _rates():
    return [
        red.rate(REQUESTS, "By route", width=12, height=9),
        red.rate(REQUESTS, "By method", by="http_request_method", legend="{{http_request_method}}", width=6, height=9),
        red.rate(REQUESTS, "By status", by="http_response_status_code", legend="{{http_response_status_code}}", width=6, height=9),
    ]


def _errors():
    refused = 'http_response_status_code=~"429|503|504"'
    refusals = panels.query(
        queries.per_second(METRIC + "_count", "http_response_status_code", f"{ROUTE}, {refused}", RED_SCOPE),
        "{{http_response_status_code}}",
    )
    return [
        red.errors(
            REQUESTS,
            "5xx by route",
            by="http_route",
            legend="{{http_route}}",
            says="Share of a route's requests that end with a server error.",
        ),
        panels.timeseries(
            "4xx by route",
            "Share of a route's requests that callers got wrong.",
            [panels.query(REQUESTS.errors("http_route", CLIENT_ERROR), "{{http_route}}")],
            unit="percentunit",
        ),
        panels.timeseries(
            "Refused, away, late",
            "429: the caller sends too much. 503: a part is away or the gateway is full. 504: a part did not answer in time.",
            [refusals],
            unit="reqps",
            needs="scenario:connection-leak|scenario:deadline-exceeded",
            stacked=True,
        ),
        panels.timeseries(
            "5xx by status",
            "Which server errors. 500 is a defect, 503 and 504 say what is behind the gateway.",
            [panels.query(REQUESTS.rate("http_response_status_code", SERVER_ERROR), "{{http_response_status_code}}")],
            unit="reqps",
            needs="scenario:error-spike",
            stacked=True,
        ),
    ]


def _durations():
    return [
        red.duration(REQUESTS, height=9),
        panels.timeseries(
            "p95 by route",
            "One line that rises alone is one route's own matter.",
            [panels.query(REQUESTS.quantile(0.95, "http_route"), "{{http_route}}")],
            unit="s",
            height=9,
        ),
        red.distribution(REQUESTS, height=9),
        red.slowest(REQUESTS, "Slowest routes, p95", height=9),
        panels.table(
            "Routes",
            "Of the last minutes. A click on a route leads to its traces.",
            [
                ("Rate", "reqps", REQUESTS.rate("http_route")),
                ("5xx", "percentunit", REQUESTS.errors("http_route")),
                ("Mean", "s", REQUESTS.mean("http_route")),
                ("p95", "s", REQUESTS.quantile(0.95, "http_route")),
                ("p99", "s", REQUESTS.quantile(0.99, "http_route")),
            ],
            key=["http_route"],
            width=14,
            height=9,
            links=[red.links.search("Traces", '{ kind = server && span.http.route = "${__value.raw}" }')],
        ),
        red.busiest(REQUESTS, width=10, height=9),
    ]


def _sizes():
    sizes = [panels.query(queries.quantile(share, SIZE, "", ROUTE, RED_SCOPE), f"p{share * 100:g}") for share in (0.5, 0.95, 0.99)]
    return [
        panels.timeseries("Sizes of requests", "Content-Length of requests; the largest bucket begins at 8 KiB.", sizes, unit="bytes"),
        panels.heatmap(
            "Distribution of sizes",
            "How many requests have how long a body. 0 are those without one.",
            queries.per_second(SIZE + "_bucket", "le", ROUTE, RED_SCOPE),
            unit="bytes",
            exemplars=False,
        ),
    ]


def _single():
    return [
        panels.traces(
            "Slow requests",
            "Traces whose request took more than half a second.",
            "{ kind = server && span.http.route != nil && duration > 500ms }",
            width=12,
        ),
        panels.traces(
            "Failed requests",
            "Traces whose request was answered with a server error.",
            "{ kind = server && span.http.response.status_code >= 500 }",
            width=12,
        ),
        panels.lines(
            "The gateway's warnings and errors",
            "Each 5xx has a line with its cause; trace_id leads to its trace.",
            '{service_name="gateway", level=~"WARN|ERROR"} | json',
        ),
    ]
