"""The whole mesh at a glance: are callers served, how fast, and where to look next."""

from boards.grpc import FAULTS, SERVER
from boards.http import METRIC, SERVER_ERROR
from boards.kafka import GROUP, HANDLED, SENT
from boards.redis import COMMANDS
from boards.sql import STATEMENTS
from parts import links, panels, queries, red
from parts.dashboard import dashboard
from parts.queries import highest, per_second, total

REQUESTS = red.Edge(
    "requests", METRIC, "http_route", "{{http_route}}", bad=SERVER_ERROR, traceql="{ kind = server && span.http.route != nil }"
)
EDGES = (
    ("HTTP", REQUESTS, "http"),
    ("gRPC", SERVER, "grpc"),
    ("SQL", STATEMENTS, "sql"),
    ("Redis", COMMANDS, "redis"),
    ("Kafka, sent", SENT, "kafka"),
    ("Kafka, handled", HANDLED, "kafka"),
)
BURN = "throughline_slo:burn_rate:"


def board():
    rows = [
        (None, _glance()),
        ("Service levels", _levels()),
        ("Every protocol", _protocols()),
        ("Who calls whom", _graph()),
        ("Alerts and scenarios", _trouble()),
        ("Traces and log lines", _single()),
    ]
    return dashboard("overview", "All protocols at a glance, service levels, and who calls whom.", rows)


def _glance():
    red_, green = panels.RED, panels.GREEN
    worst = 'min(throughline_verify_complete_ratio{service_namespace=~"$namespace"})'
    return [
        panels.stat("Requests", "Answered a second.", REQUESTS.rate(), unit="reqps", links=[links.board("HTTP", "http")]),
        panels.stat(
            "5xx",
            "Share answered with a server error.",
            REQUESTS.errors(),
            unit="percentunit",
            thresholds=panels.steps(green, (0.01, red_)),
            links=[links.board("HTTP", "http")],
        ),
        panels.stat(
            "p95",
            "19 of 20 requests are answered within.",
            REQUESTS.quantile(0.95),
            unit="s",
            thresholds=panels.steps(green, (0.5, red_)),
            links=[links.board("HTTP", "http")],
        ),
        panels.stat(
            "Orders a minute",
            "Placed.",
            f"60 * {per_second('throughline_orders_placed_total')}",
            decimals=1,
            links=[links.board("Business", "business")],
        ),
        panels.stat(
            "Lag",
            "Of the worst consumer group.",
            f"max({total('messaging_kafka_consumer_lag', GROUP)})",
            thresholds=panels.steps(green, (50, red_)),
            links=[links.board("Kafka", "kafka")],
        ),
        panels.stat(
            "Oldest in an outbox",
            "How long an event has been waiting for Kafka.",
            highest("throughline_outbox_oldest_age_seconds"),
            unit="s",
            thresholds=panels.steps(green, (30, red_)),
            links=[links.board("Kafka", "kafka")],
        ),
        panels.stat(
            "Traces whole",
            "The canary's worst edge.",
            worst,
            unit="percentunit",
            needs="canary",
            thresholds=panels.steps(red_, (0.9, panels.ORANGE), (0.99, green)),
            links=[links.board("Telemetry health", "telemetry-health")],
        ),
        panels.stat(
            "Alerts",
            "That fire now.",
            'count(ALERTS{alertstate="firing", severity!="info"}) or vector(0)',
            thresholds=panels.steps(green, (1, red_)),
        ),
    ]


def _levels():
    def burn(level):
        return [panels.query(f'{BURN}{window}{{slo="{level}"}}', window) for window in ("5m", "30m", "1h", "6h")]

    says = "How many times faster than allowed the error budget is spent: 1 lasts exactly 30 days, 14.4 uses 2 % of it in an hour and pages, 6 uses 5 % in six hours."
    left = "throughline_slo:budget_left:6h"
    return [
        panels.stat(
            "Availability, 6 h",
            "Share of requests without a server error. The objective is 99.9 %.",
            '1 - throughline_slo:error_ratio:6h{slo="availability"}',
            unit="percentunit",
            decimals=3,
            width=6,
            thresholds=panels.steps(panels.RED, (0.999, panels.GREEN)),
            needs="rules",
        ),
        panels.stat(
            "Within 500 ms, 6 h",
            "Share of requests answered in time, without routes that wait on purpose. The objective is 99 %.",
            '1 - throughline_slo:error_ratio:6h{slo="latency"}',
            unit="percentunit",
            decimals=2,
            width=6,
            thresholds=panels.steps(panels.RED, (0.99, panels.GREEN)),
            needs="rules",
        ),
        panels.stat(
            "Budget left at this pace, 30 days",
            "What would be left of the error budget if the next 30 days were as the last 6 hours; below 0 the objective is missed.",
            left,
            unit="percentunit",
            decimals=1,
            width=12,
            thresholds=panels.steps(panels.RED, (0, panels.ORANGE), (0.5, panels.GREEN)),
            needs="rules",
        ),
        panels.timeseries("Burn rate of availability", says, burn("availability"), limit=14.4, needs="rules"),
        panels.timeseries("Burn rate of latency", says, burn("latency"), limit=14.4, needs="rules"),
    ]


def _protocols():
    def each(expression):
        return [panels.query(expression(edge), name) for name, edge, _ in EDGES]

    to = [links.board(name, name.lower().split(",")[0]) for name in ("HTTP", "gRPC", "SQL", "Redis", "Kafka")]
    errors = [
        panels.query(REQUESTS.errors(), "HTTP 5xx"),
        panels.query(SERVER.errors(bad=FAULTS), "gRPC faults"),
        panels.query(queries.share("throughline_consumer_records_total", 'outcome="dead_lettered"'), "Kafka, given up"),
        panels.query(queries.share("throughline_relay_records_total", 'result=~"failed|dead_lettered"'), "Kafka, not sent"),
        panels.query(queries.share("throughline_cache_requests_total", 'result="failed"'), "Redis, lookups failed"),
    ]
    return [
        panels.timeseries("Rate", "A second.", each(lambda edge: edge.rate()), unit="reqps", links=to, width=8, height=9),
        panels.timeseries("Errors", "Share of each protocol's own.", errors, unit="percentunit", links=to, width=8, height=9),
        panels.timeseries("p95", "Of each protocol.", each(lambda edge: edge.quantile(0.95)), unit="s", links=to, width=8, height=9),
        red.distribution(REQUESTS, "Requests by duration", width=12),
        red.slowest(REQUESTS, "Slowest routes, p95", number=8, width=12),
    ]


def _graph():
    edges = "throughline_edge:calls:rate5m"
    graph = panels.panel(
        "nodeGraph",
        "Service graph",
        "Calls and records a second over the last five minutes, made of the RED metrics of both modes. Topics are nodes, too.",
        [
            panels.query(f'label_join({edges}, "id", " to ", "source", "target", "protocol")', instant=True),
            panels.query("throughline_node:calls:rate5m", instant=True),
        ],
        width=14,
        height=12,
        needs="rules",
        fieldConfig=panels.fields({}),
        options={"nodes": {"mainStatUnit": "reqps"}, "edges": {"mainStatUnit": "reqps"}},
        transformations=[
            {
                "id": "organize",
                "options": {
                    "excludeByName": {"Time": True},
                    "renameByName": {"Value": "mainstat", "Value #A": "mainstat", "Value #B": "mainstat", "protocol": "secondarystat"},
                },
            }
        ],
    )
    return [
        graph,
        panels.table("Edges", "The same as a table.", [("Rate", "reqps", f"{edges}")], key=["source"], width=10, height=12, needs="rules"),
    ]


def _trouble():
    return [
        panels.states(
            "Alerts",
            "That are pending or fire.",
            'max by (alertname) (ALERTS{alertstate="firing"}) or max by (alertname) (ALERTS{alertstate="pending"}) * 0.5',
            "{{alertname}}",
            words={1: ("fires", panels.RED), 0.5: ("pending", panels.YELLOW)},
            needs="alert",
        ),
        panels.states(
            "Scenarios",
            "Faults on purpose.",
            "max by (scenario) (throughline_scenario_active)",
            "{{scenario}}",
            words={1: ("on", panels.ORANGE), 0: ("off", panels.GREEN)},
        ),
    ]


def _single():
    return [
        panels.traces("Failed", "Traces with an error anywhere.", "{ status = error }", width=12),
        panels.traces(
            "Slow orders",
            "Orders that took more than 250 ms, over all protocols.",
            '{ span.http.route = "/api/v1/orders" && span.http.request.method = "POST" && duration > 250ms }',
            width=12,
        ),
        panels.lines(
            "Warnings and errors",
            "Of the chosen services; trace_id leads to the trace.",
            '{service_name=~"$service", level=~"WARN|ERROR"} | json',
        ),
    ]
