"""What the processes take from their machines."""

from parts import panels
from parts.dashboard import dashboard
from parts.queries import RED_SCOPE, highest, per_second, series, total

CPU = "process_cpu_time_seconds_total"
ONE = "service_name, instance"
LEGEND = "{{service_name}} {{instance}}"


def board():
    rows = [
        (None, _glance()),
        ("Processor", _processor()),
        ("Memory", _memory()),
        ("Threads, descriptors, pools", _other()),
        ("Processes", _processes()),
    ]
    return dashboard("resources", "Processor, memory, threads and descriptors of each process.", rows)


def _glance():
    return [
        panels.stat("Processes", "That answer a scrape.", f"count({series('throughline_build_info')})", width=4),
        panels.stat("Processors busy", "Of all processes together.", per_second(CPU), decimals=2, width=4),
        panels.stat(
            "Busiest process",
            "Processors that it keeps busy.",
            f"max({per_second(CPU, ONE)})",
            decimals=2,
            width=4,
            thresholds=panels.steps(panels.GREEN, (0.8, panels.RED)),
        ),
        panels.stat("Memory", "Resident, of all processes together.", total("process_memory_usage_bytes"), unit="bytes", width=4),
        panels.stat(
            "Largest process",
            "Resident memory.",
            highest("process_memory_usage_bytes"),
            unit="bytes",
            width=4,
            thresholds=panels.steps(panels.GREEN, (268435456, panels.RED)),
        ),
        panels.stat("Youngest process", "Time since it started.", f"min({series('process_uptime_seconds')})", unit="s", width=4),
    ]


def _processor():
    calls = per_second("rpc_server_duration_seconds_count", "service_name", "", RED_SCOPE)
    requests = per_second("http_server_request_duration_seconds_count", "service_name", "", RED_SCOPE)
    records = per_second("messaging_process_duration_seconds_count", "service_name", "", RED_SCOPE)
    each = f"{per_second(CPU, 'service_name')} / on (service_name) (({requests} or {calls} or {records}) > 0)"
    return [
        panels.timeseries("By process", "Processors that each keeps busy.", [panels.query(per_second(CPU, ONE), LEGEND)]),
        panels.timeseries(
            "By mode",
            "user: our code. system: the kernel's for us.",
            [panels.query(per_second(CPU, "cpu_mode"), "{{cpu_mode}}")],
            stacked=True,
        ),
        panels.timeseries(
            "For each request, call or record",
            "Processor time over what was answered or handled. A step up at the same load is a loop that spins.",
            [panels.query(each, "{{service_name}}")],
            unit="s",
        ),
        panels.bars("Now", "Processors that each service keeps busy.", per_second(CPU, "service_name"), "{{service_name}}"),
    ]


def _memory():
    grown = f"sum by ({ONE}) (delta({series('process_memory_usage_bytes')}[$__range]))"
    return [
        panels.timeseries("Resident", "By process.", [panels.query(total("process_memory_usage_bytes", ONE), LEGEND)], unit="bytes"),
        panels.timeseries(
            "Virtual", "By process. Reserved is not used.", [panels.query(total("process_memory_virtual_bytes", ONE), LEGEND)], unit="bytes"
        ),
        panels.bars("Grown in the time shown", "Resident memory now less that of the beginning.", grown, LEGEND, unit="bytes"),
        panels.bars("Now", "Resident memory by process.", total("process_memory_usage_bytes", ONE), LEGEND, unit="bytes"),
    ]


def _other():
    name = "db_client_connection_pool_name"
    return [
        panels.timeseries(
            "Threads",
            "By process. In thread-per-connection they follow the connections.",
            [panels.query(total("process_thread_count", ONE), LEGEND)],
            width=8,
        ),
        panels.timeseries(
            "Open file descriptors",
            "By process: connections, mostly. What only rises is a leak.",
            [panels.query(total("process_open_file_descriptor_count", ONE), LEGEND)],
            width=8,
        ),
        panels.timeseries(
            "Connections of pools",
            "To Postgres and Redis.",
            [panels.query(total("db_client_connection_count", name), "{{db_client_connection_pool_name}}")],
            width=8,
            stacked=True,
        ),
    ]


def _processes():
    restarts = f"sum by (service_name) (resets({series('process_uptime_seconds')}[$__range]))"
    up = 'max by (job, instance) (up{service_namespace=~"$namespace", service_name=~"$service"})'
    return [
        panels.states(
            "Answers a scrape",
            "Each target of Prometheus.",
            up,
            "{{job}} {{instance}}",
            words={1: ("up", panels.GREEN), 0: ("down", panels.RED)},
            height=9,
        ),
        panels.table(
            "Versions",
            "What runs, and since when.",
            [
                (
                    "Uptime",
                    "s",
                    f"max by (service_name, instance, version) ({series('process_uptime_seconds')} * on (instance, job) group_left (version) {series('throughline_build_info')})",
                )
            ],
            key=["service_name"],
            height=9,
        ),
        panels.bars(
            "Restarts of the time shown",
            "Of a process at the same address. In Kubernetes a new pod has a new one.",
            restarts,
            "{{service_name}}",
        ),
        panels.timeseries(
            "Uptime", "It falls to 0 with each start.", [panels.query(highest("process_uptime_seconds", ONE), LEGEND)], unit="s"
        ),
    ]
