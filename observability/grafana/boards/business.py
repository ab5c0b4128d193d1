"""What the mesh is for: accounts, orders, money, mails."""

from parts import links, panels, queries
from parts.dashboard import dashboard
from parts.queries import per_second

ORDERS, REVENUE = "throughline_orders_placed_total", "throughline_orders_revenue_total"
LOGINS = "throughline_auth_logins_total"
HTTP = "http_server_request_duration_seconds_count"
AGE = "throughline_consumer_end_to_end_age_seconds"


def board():
    rows = [
        (None, _glance()),
        ("Orders", _orders()),
        ("Accounts and sessions", _accounts()),
        ("What follows an order", _after()),
        ("Traces and log lines", _single()),
    ]
    return dashboard("business", "Orders, revenue, accounts, logins and mails. What is owed stands in Postgres; these are counters.", rows)


def _during(metric, by="", extra=""):
    grouping = f" by ({by}) " if by else ""
    return f"sum{grouping}(increase({queries.series(metric, extra)}[$__range]))"


def _glance():
    value = f"{per_second(REVENUE, 'currency')} / on () group_left () ({per_second(ORDERS)} > 0)"
    return [
        panels.stat("Orders a minute", "New orders; the repeat of a request is none.", f"60 * {per_second(ORDERS)}", width=4),
        panels.stat("Orders of the time shown", "Counted by increase, so extrapolated at the ends.", _during(ORDERS), decimals=0, width=4),
        panels.stat("Revenue of the time shown", "By currency.", _during(REVENUE, "currency"), decimals=2, width=4),
        panels.stat("Mean value of an order", "By currency, over all orders.", value, decimals=2, width=4),
        panels.stat("Logins a minute", "With wrong ones.", f"60 * {per_second(LOGINS)}", width=4),
        panels.stat(
            "New accounts of the time shown", "Registrations.", _during("throughline_auth_registrations_total"), decimals=0, width=4
        ),
    ]


def _orders():
    answers = per_second(HTTP, "http_response_status_code", 'http_route="/api/v1/orders", http_request_method="POST"')
    funnel = per_second(
        HTTP, "http_route", 'http_route=~"/api/v1/products|/api/v1/products/{product_id}|/api/v1/orders", http_request_method=~"GET|POST"'
    )
    last = f"60 * sum(rate({queries.series(ORDERS)}[$__rate_interval] offset 1d))"
    return [
        panels.timeseries(
            "Orders a minute",
            "Placed.",
            [panels.query(f"60 * {per_second(ORDERS)}", "orders")],
            links=[links.search("Traces", '{ span.http.route = "/api/v1/orders" && span.http.request.method = "POST" }')],
        ),
        panels.timeseries("Revenue a minute", "By currency.", [panels.query(f"60 * {per_second(REVENUE, 'currency')}", "{{currency}}")]),
        panels.timeseries(
            "Answers to those who order",
            "201: placed. 200: placed before. 409: too little in stock. 422: what cannot be ordered.",
            [panels.query(answers, "{{http_response_status_code}}")],
            unit="reqps",
            stacked=True,
        ),
        panels.timeseries(
            "Looking and buying", "Requests for products, and orders.", [panels.query(funnel, "{{http_route}}")], unit="reqps"
        ),
        panels.timeseries(
            "Orders a minute, a day before",
            "For comparison; there once a day has been kept.",
            [panels.query(last, "a day before")],
            needs="day",
        ),
    ]


def _accounts():
    refused = queries.share(LOGINS, 'result!="success"')
    return [
        panels.timeseries(
            "Logins by result",
            "throttled: too many failures of an account or an address.",
            [panels.query(per_second(LOGINS, "result"), "{{result}}")],
            unit="reqps",
            stacked=True,
        ),
        panels.timeseries(
            "Share of logins that fail",
            "A sudden rise is somebody who guesses, or a client with an old password.",
            [panels.query(refused, "not successful")],
            unit="percentunit",
        ),
        panels.timeseries(
            "Refreshes by result",
            "reused: a refresh token came back a second time, and its session was ended.",
            [panels.query(per_second("throughline_auth_refreshes_total", "result"), "{{result}}")],
            unit="reqps",
            stacked=True,
        ),
        panels.timeseries(
            "Accounts and logouts",
            "A second.",
            [
                panels.query(per_second("throughline_auth_registrations_total"), "registrations"),
                panels.query(per_second("throughline_auth_logouts_total"), "logouts"),
            ],
            unit="reqps",
        ),
        panels.timeseries(
            "Tokens trusted without Redis",
            "Believed while nobody could say whether their session was alive; only where session.when_unavailable is trust-token.",
            [panels.query(per_second("throughline_auth_trusted_tokens_total"), "trusted")],
            unit="reqps",
        ),
    ]


def _after():
    group = 'messaging_consumer_group_name="notification"'
    sums = 'messaging_consumer_group_name="analytics", messaging_destination_name="analytics"'
    return [
        panels.timeseries(
            "Until an order's mail is written",
            "From the order until notification has it in its outbox.",
            [panels.query(queries.quantile(share, AGE, "", group), f"p{share * 100:g}") for share in (0.5, 0.95)],
            unit="s",
            width=8,
        ),
        panels.timeseries(
            "Until an order is in the sums",
            "From the order until analytics has counted it.",
            [panels.query(queries.quantile(share, AGE, "", sums), f"p{share * 100:g}") for share in (0.5, 0.95)],
            unit="s",
            width=8,
        ),
        panels.timeseries(
            "Mails a minute", "By result.", [panels.query(f"60 * {per_second('throughline_mails_total', 'result')}", "{{result}}")], width=8
        ),
        panels.stat(
            "Mail can leave",
            "0 while all mail waits for its server.",
            queries.highest("throughline_mail_available"),
            width=4,
            thresholds=panels.steps(panels.RED, (1, panels.GREEN)),
        ),
        panels.stat(
            "Mails perhaps sent twice",
            "Of the time shown: nobody knows whether they had been sent.",
            _during("throughline_mail_possible_duplicates_total"),
            decimals=0,
            width=4,
        ),
        panels.stat(
            "Stuck mails",
            "Age of the oldest mail that waits.",
            queries.highest("throughline_mail_outbox_oldest_age_seconds"),
            unit="s",
            width=4,
        ),
    ]


def _single():
    return [
        panels.traces(
            "Orders", "Traces of orders.", '{ span.http.route = "/api/v1/orders" && span.http.request.method = "POST" }', width=12
        ),
        panels.lines(
            "Orders placed",
            "One line for each order, with its sum; trace_id leads to its trace.",
            '{service_name="orders"} | json | message = "order placed"',
            width=12,
        ),
    ]
