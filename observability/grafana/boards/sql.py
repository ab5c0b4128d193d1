"""Statements sent to Postgres, and the pools that they wait for."""

from parts import panels, red
from parts.dashboard import dashboard
from parts.queries import RED_SCOPE, per_second, quantile, total

STATEMENTS = red.Edge(
    "statements",
    "db_client_operation_duration_seconds",
    "service_name, db_operation_name",
    "{{service_name}} {{db_operation_name}}",
    extra='db_system_name="postgresql"',
    traceql='{ kind = client && span.db.system.name = "postgresql" }',
)
POOL = 'db_client_connection_pool_name=~".+/postgresql"'
NAME = "db_client_connection_pool_name"
LEGEND = "{{db_client_connection_pool_name}}"


def board():
    rows = [
        (None, _glance()),
        ("Statements", _statements()),
        ("Slow, and too many", _slow()),
        ("Pools", _pools()),
        ("Traces and log lines", _single()),
    ]
    return dashboard("sql", "Statements to Postgres by service and operation; pools, and who waits for them.", rows)


def _saturation():
    used = total("db_client_connection_count", NAME, f'{POOL}, db_client_connection_state="used"')
    return f"{used} / {total('db_client_connection_max', NAME, POOL)}"


def _per_call():
    statements = STATEMENTS.rate("service_name")
    calls = per_second("rpc_server_duration_seconds_count", "service_name", "", RED_SCOPE)
    records = per_second("messaging_process_duration_seconds_count", "service_name", "", RED_SCOPE)
    return f"{statements} / on (service_name) (({calls} or {records}) > 0)"


def _glance():
    return [
        panels.stat("Statements", "Statements a second.", STATEMENTS.rate(), unit="reqps", width=4),
        panels.stat("p95", "19 of 20 statements end within.", STATEMENTS.quantile(0.95), unit="s", width=4),
        panels.stat("p99", "99 of 100 statements end within.", STATEMENTS.quantile(0.99), unit="s", width=4),
        panels.stat(
            "Slower than 100 ms",
            "Statements a second that take longer.",
            STATEMENTS.slower_than("0.1"),
            unit="reqps",
            width=4,
            thresholds=panels.steps(panels.GREEN, (0.1, panels.RED)),
        ),
        panels.stat(
            "Fullest pool",
            "Share of a pool's connections that are in use.",
            f"max({_saturation()})",
            unit="percentunit",
            width=4,
            thresholds=panels.steps(panels.GREEN, (0.8, panels.ORANGE), (0.95, panels.RED)),
        ),
        panels.stat(
            "Waiting now",
            "Who waits for a connection.",
            total("db_client_connection_pending_requests", "", POOL),
            width=4,
            thresholds=panels.steps(panels.GREEN, (5, panels.RED)),
        ),
    ]


def _statements():
    return red.database(STATEMENTS, "operation", "Slow for one service is its statement; slow for all is Postgres.")


def _slow():
    mean = panels.query(STATEMENTS.mean(STATEMENTS.by), STATEMENTS.legend)
    return [
        panels.timeseries(
            "Statements for each call",
            "Statements over calls answered (of consumers: records handled). A step up at the same load is an N+1.",
            [panels.query(_per_call(), "{{service_name}}")],
        ),
        panels.timeseries(
            "Slower than 100 ms",
            "Statements a second that take longer, by service and operation.",
            [panels.query(STATEMENTS.slower_than("0.1", STATEMENTS.by), STATEMENTS.legend)],
            unit="reqps",
        ),
        panels.timeseries("Mean", "Mean duration by service and operation.", [mean], unit="s"),
        red.busiest(STATEMENTS, "Where the time goes, top 10"),
    ]


def _pools():
    states = panels.query(
        total("db_client_connection_count", f"{NAME}, db_client_connection_state", POOL), LEGEND + " {{db_client_connection_state}}"
    )
    wait = [
        panels.query(quantile(share, "db_client_connection_wait_time_seconds", NAME, POOL), f"{LEGEND} p{share * 100:g}")
        for share in (0.5, 0.99)
    ]
    return [
        panels.timeseries(
            "Connections in use, of those that there may be",
            "At 1 the next one waits. Full without load is a leak.",
            [panels.query(_saturation(), LEGEND)],
            unit="percentunit",
            limit=0.9,
        ),
        panels.timeseries("Connections", "Open ones, idle and used.", [states], stacked=True),
        panels.timeseries(
            "Waiting for a connection",
            "How many wait right now.",
            [panels.query(total("db_client_connection_pending_requests", NAME, POOL), LEGEND)],
        ),
        panels.timeseries("How long they waited", "Of those who got one. Nearly all belong below 1 ms.", wait, unit="s"),
        panels.timeseries(
            "Waited in vain",
            "Each of them is a call that ended with UNAVAILABLE.",
            [panels.query(per_second("db_client_connection_timeouts_total", NAME, POOL), LEGEND)],
            unit="reqps",
        ),
        panels.bars(
            "Connections that there may be",
            "Summed over the threads of a service and its replicas. Postgres' max_connections has to allow for all of them together.",
            total("db_client_connection_max", NAME, POOL),
            LEGEND,
        ),
    ]


def _single():
    return [
        panels.traces(
            "Slow statements",
            "Traces with a statement of more than 100 ms; the span has its text without values.",
            '{ kind = client && span.db.system.name = "postgresql" && duration > 100ms }',
            width=12,
        ),
        panels.traces(
            "Many statements in one trace",
            "Traces with more than ten SELECTs of one service.",
            '{ resource.service.name = "catalog-cache" && span.db.operation.name = "SELECT" } | count() > 10',
            width=12,
        ),
        panels.lines(
            "Statements as they are run",
            "Only where database.echo is on.",
            '{service_name=~"$service", level="INFO"} | json | target = "sql"',
        ),
    ]
