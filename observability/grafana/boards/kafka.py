"""Records on their way: sent, waiting, handled, given up."""

from parts import panels, queries, red
from parts.dashboard import dashboard
from parts.queries import highest, per_second, total

TOPIC, GROUP, PARTITION = "messaging_destination_name", "messaging_consumer_group_name", "messaging_destination_partition_id"
SENT = red.Edge(
    "records sent",
    "messaging_publish_duration_seconds",
    f"service_name, {TOPIC}",
    "{{service_name}} to {{messaging_destination_name}}",
    traceql="{ kind = producer }",
)
HANDLED = red.Edge(
    "records handled",
    "messaging_process_duration_seconds",
    f"service_name, {TOPIC}",
    "{{service_name}} from {{messaging_destination_name}}",
    traceql="{ kind = consumer }",
)
READER = "{{messaging_consumer_group_name}} {{messaging_destination_name}}"
AGE = "throughline_consumer_end_to_end_age_seconds"


def board():
    rows = [
        (None, _glance()),
        ("Throughput and duration", _through()),
        ("Lag and age", _lag()),
        ("What became of records", _outcomes()),
        ("Producers: outbox and relay", _producers()),
        ("Traces and log lines", _single()),
    ]
    return dashboard("kafka", "Topics, consumer groups, dead letters and outboxes.", rows)


def _glance():
    red_ = panels.RED
    return [
        panels.stat("Sent", "Records a second that were acknowledged or refused.", SENT.rate(), unit="reqps"),
        panels.stat("Handled", "Records a second that consumers handled.", HANDLED.rate(), unit="reqps"),
        panels.stat(
            "Lag",
            "Records of the worst group that are not committed.",
            f"max({total('messaging_kafka_consumer_lag', GROUP)})",
            thresholds=panels.steps(panels.GREEN, (50, red_)),
        ),
        panels.stat(
            "Age, p95",
            "From an event until a record about it is done with.",
            queries.quantile(0.95, AGE),
            unit="s",
            thresholds=panels.steps(panels.GREEN, (5, red_)),
        ),
        panels.stat(
            "Dead letters",
            "Records given up a minute.",
            f"60 * {per_second('throughline_consumer_dead_letters_total')}",
            thresholds=panels.steps(panels.GREEN, (0.01, red_)),
        ),
        panels.stat(
            "Outbox",
            "Events that wait for Kafka. Replicas count the same table.",
            f"sum({highest('throughline_outbox_rows', 'service_name')})",
            thresholds=panels.steps(panels.GREEN, (1000, red_)),
        ),
        panels.stat(
            "Oldest in an outbox",
            "For how long the oldest of them has been waiting.",
            highest("throughline_outbox_oldest_age_seconds"),
            unit="s",
            thresholds=panels.steps(panels.GREEN, (30, red_)),
        ),
        panels.stat(
            "Paused",
            "Partitions that are not fetched from, since what is in hand does not get done.",
            total("throughline_consumer_paused_partitions"),
            thresholds=panels.steps(panels.GREEN, (1, panels.ORANGE)),
        ),
    ]


def _through():
    return [
        red.rate(SENT, "Sent, by topic"),
        red.rate(HANDLED, "Handled, by topic"),
        red.duration(SENT, "Duration of sending, until acknowledged"),
        red.duration(HANDLED, "Duration of handling"),
        red.slowest(SENT, "Slowest to be acknowledged, p95"),
        red.slowest(HANDLED, "Slowest to be handled, p95"),
        red.distribution(SENT, "Distribution of sending"),
        red.distribution(HANDLED, "Distribution of handling"),
    ]


def _lag():
    lag = "messaging_kafka_consumer_lag"
    ages = [panels.query(queries.quantile(share, AGE), f"p{share * 100:g}") for share in red.QUANTILES]
    partitions = total(lag, f"{GROUP}, {TOPIC}, {PARTITION}")
    spread = f"max by ({GROUP}, {TOPIC}) ({partitions}) - min by ({GROUP}, {TOPIC}) ({partitions})"
    return [
        panels.timeseries(
            "Lag by group",
            "Records that a group has not committed, over all of its partitions.",
            [panels.query(total(lag, GROUP), "{{messaging_consumer_group_name}}")],
            width=8,
        ),
        panels.timeseries(
            "Lag by partition",
            "All of one topic: the consumer is slow. One alone: a record that does not get done, or a hot key.",
            [panels.query(partitions, READER + " {{messaging_destination_partition_id}}")],
            width=8,
        ),
        panels.timeseries(
            "Spread of lag over partitions",
            "The worst partition's lag less the best one's. Far above 0: the keys do not spread, or one partition is stuck.",
            [panels.query(spread, READER)],
            width=8,
        ),
        panels.timeseries(
            "Age of events when they are done",
            "From occurred_at until the record is done with: outbox, Kafka, lag and handling together.",
            ages,
            unit="s",
        ),
        panels.timeseries(
            "Age by group and topic, p95",
            "Each hop adds to it: orders.created, then what dispatch makes of it.",
            [panels.query(queries.quantile(0.95, AGE, f"{GROUP}, {TOPIC}"), READER)],
            unit="s",
        ),
        panels.timeseries(
            "In hand",
            "Records that are being handled, pauses between attempts included.",
            [panels.query(total("throughline_consumer_in_flight", GROUP), "{{messaging_consumer_group_name}}")],
        ),
        panels.timeseries(
            "Paused partitions",
            "Not fetched from, since what is in hand does not get done.",
            [panels.query(total("throughline_consumer_paused_partitions", GROUP), "{{messaging_consumer_group_name}}")],
        ),
    ]


def _outcomes():
    records = "throughline_consumer_records_total"
    given_up = queries.share(records, 'outcome="dead_lettered"', f"{GROUP}, {TOPIC}")
    return [
        panels.timeseries(
            "Deliveries by outcome",
            "postponed: something is away, it comes again. abandoned: left to whoever has the partition next.",
            [panels.query(per_second(records, f"{GROUP}, outcome"), "{{messaging_consumer_group_name}} {{outcome}}")],
            unit="reqps",
            stacked=True,
        ),
        panels.timeseries("Share given up", "Of the deliveries of a topic.", [panels.query(given_up, READER)], unit="percentunit"),
        panels.timeseries(
            "Dead letters",
            "Records a second that went to the topic dlq: ./mesh dlq list.",
            [panels.query(per_second("throughline_consumer_dead_letters_total", f"{GROUP}, {TOPIC}"), READER)],
            unit="reqps",
        ),
        panels.timeseries(
            "Repeats",
            "Attempts after the first, with 100, 400 and 900 ms between them.",
            [panels.query(per_second("throughline_consumer_retries_total", f"{GROUP}, {TOPIC}"), READER)],
            unit="reqps",
        ),
        panels.timeseries(
            "Recognised as had already",
            "Records whose effect was there. Kafka delivers at least once, so some are normal after a crash or a rebalance.",
            [panels.query(per_second("throughline_consumer_duplicates_total", f"{GROUP}, {TOPIC}"), READER)],
            unit="reqps",
        ),
        panels.bars(
            "Dead letters of the time shown",
            "How many records each group gave up.",
            f"sum by ({GROUP}, {TOPIC}) (increase({queries.series('throughline_consumer_dead_letters_total')}[$__range]))",
            READER,
        ),
    ]


def _producers():
    published = queries.share("throughline_relay_records_total", 'result="failed"', "service_name")
    return [
        panels.timeseries(
            "Waiting in the outbox",
            "Written with the order, not yet acknowledged by Kafka.",
            [panels.query(highest("throughline_outbox_rows", "service_name"), "{{service_name}}")],
            width=8,
        ),
        panels.timeseries(
            "Age of the oldest",
            "Grows by a second a second while Kafka is away.",
            [panels.query(highest("throughline_outbox_oldest_age_seconds", "service_name"), "{{service_name}}")],
            unit="s",
            width=8,
        ),
        panels.timeseries(
            "Relay by result",
            "failed: sent again. dead_lettered: Kafka will never take it.",
            [panels.query(per_second("throughline_relay_records_total", "service_name, result"), "{{service_name}} {{result}}")],
            unit="reqps",
            stacked=True,
            width=8,
        ),
        panels.timeseries(
            "The broker as producers see it: p99 until acknowledged",
            "Above the linger of 10 ms it is the broker, its replicas, or its disk.",
            [panels.query(SENT.quantile(0.99, "service_name"), "{{service_name}}")],
            unit="s",
        ),
        panels.timeseries(
            "The broker as producers see it: share refused",
            "Of what relays sent; nothing is lost, it is sent again.",
            [panels.query(published, "{{service_name}}")],
            unit="percentunit",
        ),
        panels.timeseries(
            "Mails by result",
            "retried: the mail server refused for now.",
            [panels.query(per_second("throughline_mails_total", "result"), "{{result}}")],
            unit="reqps",
            stacked=True,
            width=8,
        ),
        panels.timeseries(
            "Mails that wait",
            "With those that are being sent.",
            [panels.query(highest("throughline_mail_outbox_rows", "service_name"), "{{service_name}}")],
            width=8,
        ),
        panels.timeseries(
            "Age of the oldest mail",
            "0 where none waits.",
            [panels.query(highest("throughline_mail_outbox_oldest_age_seconds", "service_name"), "{{service_name}}")],
            unit="s",
            width=8,
        ),
    ]


def _single():
    return [
        panels.traces(
            "Slow records",
            "Traces with a record that took more than 200 ms to handle.",
            "{ kind = consumer && duration > 200ms }",
            width=12,
        ),
        panels.traces(
            "Records that were given up",
            "Their span says why, and its parent who sent them.",
            '{ kind = consumer && span.throughline.consumer.outcome = "dead_lettered" }',
            width=12,
        ),
        panels.lines(
            "Consumers' warnings and errors",
            "Each dead letter has a line with topic, partition and offset.",
            '{service_name=~"dispatch|notification|analytics", level=~"WARN|ERROR"} | json',
        ),
    ]
