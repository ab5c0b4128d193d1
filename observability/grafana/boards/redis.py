"""Commands sent to Redis, and what the cache in front of Postgres is worth."""

from parts import panels, queries, red
from parts.dashboard import dashboard
from parts.queries import highest, per_second, total

COMMANDS = red.Edge(
    "commands",
    "db_client_operation_duration_seconds",
    "service_name, db_operation_name",
    "{{service_name}} {{db_operation_name}}",
    extra='db_system_name="redis"',
    traceql='{ kind = client && span.db.system.name = "redis" }',
)
POOL = 'db_client_connection_pool_name=~".+/redis"'
NAME = "db_client_connection_pool_name"
LOOKUPS = "throughline_cache_requests_total"
FOUND, ASKED = 'result=~"hit|hit_unknown"', 'result=~"hit|hit_unknown|miss"'


def board():
    rows = [
        (None, _glance()),
        ("Commands", _commands()),
        ("Cache", _cache()),
        ("Connections and breaker", _connections()),
        ("Traces and log lines", _single()),
    ]
    return dashboard("redis", "Commands to Redis by service and command; the catalogue's cache.", rows)


def _hits(by=""):
    return f"{per_second(LOOKUPS, by, FOUND)} / ({per_second(LOOKUPS, by, ASKED)} > 0)"


def _glance():
    breaker = 'state="open"'
    return [
        panels.stat("Commands", "Commands a second.", COMMANDS.rate(), unit="reqps", width=4),
        panels.stat("p95", "19 of 20 commands end within.", COMMANDS.quantile(0.95), unit="s", width=4),
        panels.stat("p99", "99 of 100 commands end within.", COMMANDS.quantile(0.99), unit="s", width=4),
        panels.stat(
            "Hit ratio",
            "Share of lookups that Redis answered, of those that it could have. What it knows to be nowhere counts as found.",
            _hits(),
            unit="percentunit",
            width=4,
            thresholds=panels.steps(panels.RED, (0.5, panels.ORANGE), (0.8, panels.GREEN)),
        ),
        panels.stat(
            "Loads", "Loads from Postgres a second, of one id or many.", per_second("throughline_cache_loads_total"), unit="reqps", width=4
        ),
        panels.stat(
            "Breakers open",
            "Processes that do not ask Redis now, since it failed.",
            total("throughline_cache_breaker_state", "", breaker),
            width=4,
            thresholds=panels.steps(panels.GREEN, (1, panels.RED)),
        ),
    ]


def _commands():
    return [
        *red.database(COMMANDS, "command", "Slow for one service is its command; slow for all is Redis, or the way to it."),
        red.busiest(COMMANDS),
        panels.timeseries(
            "Slower than 10 ms",
            "Commands a second that take longer. Redis is one thread: a slow command is everybody's wait.",
            [panels.query(COMMANDS.slower_than("0.01", COMMANDS.by), COMMANDS.legend)],
            unit="reqps",
        ),
    ]


def _cache():
    loads = "throughline_cache_loads_total"
    misses = per_second(LOOKUPS, "cache", 'result="miss"')
    return [
        panels.timeseries(
            "Hit ratio",
            "Of lookups, not of commands: an MGET of four ids is four lookups.",
            [panels.query(_hits("cache"), "{{cache}}")],
            unit="percentunit",
            maximum=1,
        ),
        panels.timeseries(
            "Lookups by result",
            "failed: Redis did not answer.",
            [panels.query(per_second(LOOKUPS, "cache, result"), "{{cache}} {{result}}")],
            unit="reqps",
            stacked=True,
        ),
        panels.timeseries(
            "Loads from Postgres",
            "Peaks at a steady distance are a stampede: entries that end at the same moment.",
            [panels.query(per_second(loads, "cache, result"), "{{cache}} {{result}}")],
            unit="reqps",
        ),
        panels.timeseries(
            "Loads for each miss",
            "Single flight keeps it at 1 or below: many who miss the same, one who loads.",
            [panels.query(f"{per_second(loads, 'cache')} / ({misses} > 0)", "{{cache}}")],
        ),
        panels.timeseries(
            "Duration of loads",
            "Waiting for a connection included.",
            [
                panels.query(queries.quantile(share, "throughline_cache_load_seconds", "cache"), f"{{{{cache}}}} p{share * 100:g}")
                for share in (0.5, 0.95)
            ],
            unit="s",
        ),
        panels.timeseries(
            "Served stale",
            "Answers that were no longer fresh, while Postgres did not answer.",
            [panels.query(per_second("throughline_cache_stale_total", "cache"), "{{cache}}")],
            unit="reqps",
        ),
        panels.timeseries(
            "Near cache",
            "Lookups in the process itself. All 0 where cache.near_entries is 0.",
            [panels.query(per_second("throughline_cache_near_requests_total", "cache, result"), "{{cache}} {{result}}")],
            unit="reqps",
        ),
        panels.timeseries(
            "Changes heard by publish and subscribe",
            "Messages about changed entries that processes heard; they listen where cache.near_entries is not 0.",
            [panels.query(per_second("throughline_cache_invalidations_total", "cache"), "{{cache}}")],
            unit="reqps",
        ),
    ]


def _connections():
    state = highest("throughline_cache_breaker_state", "service_name, instance, state") + " > 0"
    wait = queries.quantile(0.99, "db_client_connection_wait_time_seconds", NAME, POOL)
    return [
        panels.timeseries(
            "Connections",
            "Open ones. They are multiplexed and given back at once, so nearly all are idle.",
            [
                panels.query(
                    total("db_client_connection_count", f"{NAME}, db_client_connection_state", POOL),
                    "{{db_client_connection_pool_name}} {{db_client_connection_state}}",
                )
            ],
            stacked=True,
            width=8,
        ),
        panels.timeseries(
            "How long they waited for one, p99",
            "Nearly all belong below 1 ms.",
            [panels.query(wait, "{{db_client_connection_pool_name}}")],
            unit="s",
            width=8,
        ),
        panels.timeseries(
            "Waited in vain",
            "Each of them goes on without Redis, or is told UNAVAILABLE.",
            [panels.query(per_second("db_client_connection_timeouts_total", NAME, POOL), "{{db_client_connection_pool_name}}")],
            unit="reqps",
            width=8,
        ),
        panels.states(
            "Breaker",
            "closed: Redis is asked. half_open: one caller tries. open: nobody asks.",
            state,
            "{{service_name}} {{instance}} {{state}}",
            words={1: ("holds", panels.BLUE)},
            width=24,
            height=5,
        ),
    ]


def _single():
    return [
        panels.traces(
            "Slow commands",
            "Traces with a command of more than 10 ms.",
            '{ kind = client && span.db.system.name = "redis" && duration > 10ms }',
            width=12,
        ),
        panels.traces(
            "Misses", "Traces in which what was not cached was written back.", '{ span.db.operation.name = "PIPELINE SET" }', width=12
        ),
        panels.lines(
            "Warnings and errors about Redis",
            "Of the services that use it.",
            '{service_name=~"auth|catalog-cache|analytics", level=~"WARN|ERROR"} |~ "(?i)redis" | json',
        ),
    ]
