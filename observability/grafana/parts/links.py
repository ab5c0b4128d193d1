"""Ways out of a panel: to another dashboard, to traces, to log lines."""

import json
from urllib.parse import quote

_KEEP = "${__url_time_range}&${namespace:queryparam}&${source:queryparam}"


def board(title, uid, **variables):
    """To another dashboard, at the same time; values may be fields, such as `${__field.labels.service_name}`."""
    chosen = "".join(f"&var-{name}={value}" for name, value in variables.items())
    return {"title": title, "url": f"/d/throughline-{uid}?{_KEEP}{chosen}"}


def search(title, traceql):
    """To a search for traces in Explore. Braces that are Grafana's variables stay as they are."""
    pane = {"datasource": "${tempo}", "queries": [{"refId": "A", "queryType": "traceql", "query": traceql}]}
    return {"title": title, "url": _explore(pane), "targetBlank": True}


def log_lines(title, logql):
    pane = {"datasource": "${loki}", "queries": [{"refId": "A", "expr": logql}]}
    return {"title": title, "url": _explore(pane), "targetBlank": True}


def _explore(pane):
    pane["range"] = {"from": "${__from}", "to": "${__to}"}
    panes = quote(json.dumps({"a": pane}, separators=(",", ":")), safe="${}_.:,/")
    return f"/explore?schemaVersion=1&orgId=1&panes={panes}"
