"""Is what the other dashboards show the whole truth?"""

from parts import panels, queries
from parts.dashboard import dashboard
from parts.queries import per_second, series

SPACE = 'service_namespace=~"$namespace"'
SPANS = "throughline_telemetry_spans_total"
VERIFY = "throughline_verify_"
CANARY = "canary"


def board():
    rows = [
        (None, _glance()),
        ("Spans, from the services to the backend", _spans()),
        ("The canary: are traces whole?", _canary()),
        ("Metrics", _metrics()),
        ("Scenarios", _scenarios()),
        ("Traces and log lines", _single()),
    ]
    return dashboard(
        "telemetry-health",
        "Spans sent, received and lost; whether traces are whole (./mesh verify --watch); whether metrics are scraped.",
        rows,
    )


def _backend(metric, by=""):
    return per_second(metric, by, "", SPACE)


def _verify(name, by="", function=per_second):
    return function(VERIFY + name, by, "", SPACE)


def _worst():
    return f"min({series(VERIFY + 'complete_ratio', '', SPACE)})"


def _lost():
    return queries.share(SPANS, 'result=~"failed|dropped"', "", "", queries.SCOPE)


def _glance():
    red_, green = panels.RED, panels.GREEN
    exported = per_second(SPANS, "", 'result="exported"', SPACE)
    arrived = f"{_backend('trace_backend_spans_received_total')} / ({exported} > 0)"
    return [
        panels.stat("Spans exported", "A second, by the services.", per_second(SPANS, "", 'result="exported"'), unit="reqps", width=4),
        panels.stat(
            "Share lost in the services",
            "Dropped for want of room, or not taken by the backend in time.",
            _lost(),
            unit="percentunit",
            width=4,
            thresholds=panels.steps(green, (0.001, red_)),
        ),
        panels.stat(
            "Received for each exported",
            "By the local trace backend. Below 1 something on the way loses spans; above 1 others send, too.",
            arrived,
            unit="percentunit",
            width=4,
        ),
        panels.stat(
            "Worst edge",
            "Share of the canary's last 100 traces in which the worst edge held.",
            _worst(),
            unit="percentunit",
            width=4,
            needs=CANARY,
            thresholds=panels.steps(red_, (0.9, panels.ORANGE), (0.99, green)),
        ),
        panels.stat(
            "Ingest delay, p95",
            "From the answer to an order until its trace was whole.",
            queries.quantile(0.95, VERIFY + "ingest_delay_seconds", "", "", SPACE),
            unit="s",
            width=4,
            needs=[CANARY, "whole"],
        ),
        panels.stat(
            "Targets down",
            "Processes that do not answer a scrape, without the canary.",
            f'count(up{{{SPACE}, job!="canary"}} == 0) or vector(0)',
            width=4,
            thresholds=panels.steps(green, (1, red_)),
        ),
    ]


def _spans():
    reasons = per_second("trace_backend_spans_dropped_total", "reason", "", SPACE)
    return [
        panels.timeseries(
            "Exported by service",
            "Spans a second.",
            [panels.query(per_second(SPANS, "service_name", 'result="exported"'), "{{service_name}}")],
            unit="reqps",
            stacked=True,
        ),
        panels.timeseries(
            "Exported and received",
            "What the services sent, and what the local trace backend took. The lines belong together.",
            [
                panels.query(per_second(SPANS, "", 'result="exported"', SPACE), "exported"),
                panels.query(_backend("trace_backend_spans_received_total"), "received"),
            ],
            unit="reqps",
        ),
        panels.timeseries(
            "Lost in the services",
            "failed: the backend did not take them in time. dropped: the queue was full.",
            [panels.query(per_second(SPANS, "service_name, result", 'result!="exported"'), "{{service_name}} {{result}}")],
            unit="reqps",
            needs="spans-lost",
        ),
        panels.timeseries(
            "Lost in the local trace backend",
            "evicted: older traces made room. invalid: they could not be decoded. Rejected and duplicate ones beside them.",
            [
                panels.query(reasons, "{{reason}}"),
                panels.query(_backend("trace_backend_exports_rejected_total"), "rejected exports"),
                panels.query(_backend("trace_backend_spans_duplicate_total"), "duplicates"),
            ],
            unit="reqps",
        ),
        panels.timeseries(
            "Room of the queues",
            "Spans that may wait for export, by service.",
            [panels.query(queries.highest("throughline_telemetry_queue_capacity", "service_name"), "{{service_name}}")],
        ),
        panels.timeseries(
            "What the local trace backend holds",
            "Bytes of traces, and its bound.",
            [
                panels.query(f"sum({series('trace_backend_bytes', '', SPACE)})", "held"),
                panels.query(f"sum({series('trace_backend_max_bytes', '', SPACE)})", "bound"),
            ],
            unit="bytes",
        ),
    ]


def _canary():
    missing = f'label_replace({_verify("missing_spans_total", "edge")}, "what", "missing", "", "")'
    wrong = f'label_replace({_verify("wrong_parents_total", "edge")}, "what", "wrong parent", "", "")'
    edges = f"min by (protocol, edge) ({series(VERIFY + 'complete_ratio', '', SPACE)})"
    protocols = f"min by (protocol) ({series(VERIFY + 'complete_ratio', '', SPACE)})"
    return [
        panels.timeseries(
            "Edges that hold, by protocol",
            "The worst edge of each protocol, over the last 100 traces. 1 is whole.",
            [panels.query(protocols, "{{protocol}}")],
            unit="percentunit",
            maximum=1,
            needs=CANARY,
        ),
        panels.bars(
            "Edges that hold",
            "Each edge of expected-trace.yaml. The first that is below 1 on the way of the request is where to look.",
            edges,
            "{{protocol}} {{edge}}",
            unit="percentunit",
            needs=CANARY,
        ),
        panels.timeseries(
            "Traces and orders",
            "complete, incomplete, unknown (not to be had from the backend); placed, refused.",
            [
                panels.query(_verify("traces_total", "result"), "traces {{result}}"),
                panels.query(_verify("orders_total", "result"), "orders {{result}}"),
            ],
            unit="reqps",
            needs=CANARY,
        ),
        panels.timeseries(
            "Defects",
            "By name: docs/verify.md.",
            [panels.query(_verify("defects_total", "defect"), "{{defect}}")],
            unit="reqps",
            needs=[CANARY, "scenario:lost-context"],
        ),
        panels.timeseries(
            "Missing spans, wrong parents",
            "By edge.",
            [panels.query(f"({missing} or {wrong}) > 0", "{{what}}: {{edge}}")],
            unit="reqps",
            needs=[CANARY, "scenario:lost-context"],
        ),
        panels.timeseries(
            "Ingest delay",
            "From the answer to an order until its trace was whole. As coarse as the canary looks.",
            [
                panels.query(queries.quantile(share, VERIFY + "ingest_delay_seconds", "", "", SPACE), f"p{share * 100:g}")
                for share in (0.5, 0.95)
            ],
            unit="s",
            needs=[CANARY, "whole"],
        ),
    ]


def _metrics():
    return [
        panels.timeseries(
            "Duration of scrapes",
            "By target.",
            [panels.query(f"max by (job) (scrape_duration_seconds{{{SPACE}}})", "{{job}}")],
            unit="s",
            width=8,
        ),
        panels.timeseries(
            "Samples by scrape",
            "Cardinality. A line that only rises is a label without a bound.",
            [panels.query(f"sum by (job) (scrape_samples_scraped{{{SPACE}}})", "{{job}}")],
            width=8,
        ),
        panels.timeseries(
            "New series by scrape",
            "High for long: labels that come and go.",
            [panels.query(f"sum by (job) (scrape_series_added{{{SPACE}}})", "{{job}}")],
            width=8,
        ),
    ]


def _scenarios():
    active = "max by (scenario) (throughline_scenario_active)"
    valid = "min by (service_name) (throughline_scenario_files_valid)"
    return [
        panels.states(
            "Scenarios that are on",
            "Faults on purpose: ./mesh scenario status.",
            active,
            "{{scenario}}",
            words={1: ("on", panels.ORANGE), 0: ("off", panels.GREEN)},
            height=10,
        ),
        panels.states(
            "Their files can be heeded",
            "0 where what is asked for is not allowed or cannot be read; what held before holds on.",
            valid,
            "{{service_name}}",
            words={1: ("yes", panels.GREEN), 0: ("no", panels.RED)},
            height=10,
        ),
    ]


def _single():
    return [
        panels.traces(
            "Traces that begin in the middle",
            "A server span below the gateway, or a consumer, that is the first of its trace: its caller lost the context.",
            '{ resource.service.name != "gateway" && (kind = server || kind = consumer) && nestedSetParent < 0 }',
            width=12,
        ),
        panels.traces(
            "The canary's traces", "As ./mesh verify sent them.", '{ span.user_agent.original =~ "throughline-verify/.*" }', width=12
        ),
        panels.lines(
            "What exporters say",
            "The first span that does not fit is told, and when there is room again.",
            '{service_name=~"$service", level=~"WARN|ERROR"} |~ "(?i)(span|otlp|export)" | json',
        ),
    ]
