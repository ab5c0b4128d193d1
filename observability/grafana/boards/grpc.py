"""Calls between the services, as those see them who answer and those who ask."""

from parts import panels, red
from parts.dashboard import dashboard

SERVER = red.Edge(
    "calls",
    "rpc_server_duration_seconds",
    "service_name, rpc_method",
    "{{service_name}} {{rpc_method}}",
    bad='rpc_grpc_status_code!="0"',
    traceql="{ kind = server && span.rpc.method != nil }",
)
CLIENT = red.Edge(
    "calls",
    "rpc_client_duration_seconds",
    "service_name, rpc_method",
    "{{service_name}} to {{rpc_method}}",
    bad='rpc_grpc_status_code!="0"',
    traceql="{ kind = client && span.rpc.method != nil }",
)
# What a server is to blame for: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS.
FAULTS = 'rpc_grpc_status_code=~"2|4|12|13|14|15"'


def board():
    rows = [(None, _glance()), ("Servers", _servers()), ("Callers", _callers()), ("Traces and log lines", _single())]
    return dashboard("grpc", "gRPC calls by method and code, from both sides.", rows)


def _glance():
    limit = panels.steps(panels.GREEN, (0.01, panels.RED))
    return [
        panels.stat("Calls", "Calls answered a second.", SERVER.rate(), unit="reqps", width=4),
        panels.stat(
            "Not OK",
            "Share of calls that end with another code than OK. Some are answers: NOT_FOUND, for one.",
            SERVER.errors(),
            unit="percentunit",
            width=4,
        ),
        panels.stat(
            "Faults",
            "Share of calls that end with a code for which the server is to blame.",
            SERVER.errors(bad=FAULTS),
            unit="percentunit",
            width=4,
            thresholds=limit,
        ),
        panels.stat(
            "Late",
            "Share of calls that their callers gave up at the deadline.",
            CLIENT.errors(bad='rpc_grpc_status_code="4"'),
            unit="percentunit",
            width=4,
            thresholds=limit,
        ),
        panels.stat("p95", "19 of 20 calls are answered within.", SERVER.quantile(0.95), unit="s", width=4),
        panels.stat("p99", "99 of 100 calls are answered within.", SERVER.quantile(0.99), unit="s", width=4),
    ]


def _servers():
    says = "Codes other than OK; 4 is DEADLINE_EXCEEDED, 5 NOT_FOUND, 8 RESOURCE_EXHAUSTED, 14 UNAVAILABLE, 16 UNAUTHENTICATED."
    return [
        red.rate(SERVER, "Calls by method", height=9),
        panels.timeseries(
            "Calls by code",
            "0 is OK. " + says,
            [panels.query(SERVER.rate("rpc_grpc_status_code"), "{{rpc_grpc_status_code}}")],
            unit="reqps",
            height=9,
            stacked=True,
        ),
        red.errors(SERVER, "Faults by method", says="Share of a method's calls that do not end with OK."),
        red.duration(SERVER),
        panels.timeseries(
            "p95 by service",
            "Who is slow; a service is no faster than what it asks.",
            [panels.query(SERVER.quantile(0.95, "service_name"), "{{service_name}}")],
            unit="s",
        ),
        red.slowest(SERVER, "Slowest methods, p95"),
        red.distribution(SERVER),
        red.busiest(SERVER),
    ]


def _callers():
    between = f"{CLIENT.mean('rpc_method')} - on (rpc_method) {SERVER.mean('rpc_method')}"
    return [
        red.rate(CLIENT, "Calls made"),
        panels.timeseries(
            "Deadline exceeded",
            "Share of calls that the caller gave up. The innermost service of such a trace is the one to look at.",
            [panels.query(CLIENT.errors(CLIENT.by, 'rpc_grpc_status_code="4"'), CLIENT.legend)],
            unit="percentunit",
        ),
        red.duration(CLIENT, "Duration as callers see it"),
        panels.timeseries(
            "Between caller and server",
            "Mean of the caller less mean of the server, by method: network, queues, connecting. It wants both sides among the chosen services.",
            [panels.query(between, "{{rpc_method}}")],
            unit="s",
        ),
        red.slowest(CLIENT, "Slowest as callers see it, p95"),
        panels.table(
            "Methods",
            "Of the last minutes, as servers see them.",
            [
                ("Rate", "reqps", SERVER.rate("rpc_method")),
                ("Not OK", "percentunit", SERVER.errors("rpc_method")),
                ("Mean", "s", SERVER.mean("rpc_method")),
                ("p95", "s", SERVER.quantile(0.95, "rpc_method")),
            ],
            key=["rpc_method"],
        ),
    ]


def _single():
    return [
        panels.traces(
            "Slow calls",
            "Traces with a call that took more than 250 ms.",
            "{ kind = server && span.rpc.method != nil && duration > 250ms }",
            width=12,
        ),
        panels.traces(
            "Failed calls", "Traces with a call that failed.", "{ kind = client && span.rpc.method != nil && status = error }", width=12
        ),
        panels.lines(
            "Warnings and errors of the gRPC services",
            "Causes are logged once, at the edge, and not sent to callers.",
            '{service_name=~"auth|catalog-cache|orders", level=~"WARN|ERROR"} | json',
        ),
    ]
