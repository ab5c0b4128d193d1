"""The frame around panels: variables, links, annotations, and the grid."""

BOARDS = {
    "overview": "Overview",
    "http": "HTTP",
    "grpc": "gRPC",
    "sql": "SQL",
    "redis": "Redis",
    "kafka": "Kafka",
    "business": "Business",
    "resources": "Resources",
    "telemetry-health": "Telemetry health",
}
SOURCES = {"All": ".*", "the services": "[^/]*", "OBI": "obi|.*/.*"}
GRID = 24


def dashboard(name, summary, rows, *, with_route=False, refresh="30s"):
    """`rows`: (heading, panels). A heading of None begins the dashboard without a row of its own."""
    return {
        "uid": f"throughline-{name}",
        "title": f"Throughline / {BOARDS[name]}",
        "description": summary,
        "tags": ["throughline"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": refresh,
        "time": {"from": "now-30m", "to": "now"},
        "timezone": "browser",
        "links": [_others()],
        "annotations": {"list": [_scenarios(), _alerts()]},
        "templating": {"list": _variables(with_route)},
        "panels": _placed(rows),
    }


def _others():
    link = {"type": "dashboards", "title": "Throughline", "tags": ["throughline"], "asDropdown": False}
    return link | {"includeVars": True, "keepTime": True, "icon": "external link", "targetBlank": False}


def _scenarios():
    return _annotation("Scenarios", "max by (scenario) (throughline_scenario_active) > 0", "{{scenario}} is on", "orange")


def _alerts():
    return _annotation("Alerts", 'max by (alertname, severity) (ALERTS{alertstate="firing"})', "{{alertname}} ({{severity}})", "red")


def _annotation(name, expression, title, color):
    uid = {"type": "prometheus", "uid": "${prometheus}"}
    return {"name": name, "datasource": uid, "enable": True, "expr": expression, "titleFormat": title, "step": "30s", "iconColor": color}


def _variables(with_route):
    one = "throughline_build_info"
    space = 'service_namespace=~"$namespace"'
    variables = [
        _source_of_data("prometheus", "Metrics"),
        _source_of_data("tempo", "Traces"),
        _source_of_data("loki", "Logs"),
        _labels("namespace", "Namespace", one, "service_namespace"),
        _labels("service", "Service", f"{one}{{{space}}}", "service_name"),
        _labels("pod", "Pod", f'{one}{{{space}, service_name=~"$service"}}', "instance"),
    ]
    if with_route:
        variables.append(_labels("route", "Route", f"http_server_request_duration_seconds_count{{{space}}}", "http_route"))
    variables.append(_custom("source", "RED metrics from", SOURCES))
    return variables


def _source_of_data(kind, label):
    return {
        "name": kind,
        "label": label,
        "type": "datasource",
        "query": kind,
        "current": {},
        "hide": 2,
    }


def _labels(name, label, metric, value):
    definition = f"label_values({metric}, {value})"
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "${prometheus}"},
        "query": {"query": definition, "refId": f"variable-{name}"},
        "definition": definition,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _custom(name, label, values):
    options = [{"text": text, "value": value, "selected": index == 0} for index, (text, value) in enumerate(values.items())]
    query = ", ".join(f"{text} : {value}" for text, value in values.items())
    current = {"text": options[0]["text"], "value": options[0]["value"]}
    return {"name": name, "label": label, "type": "custom", "query": query, "options": options, "current": current}


def _placed(rows):
    """Panels from left to right, a new line where one does not fit; ids in that order."""
    placed, y = [], 0
    for heading, panels in rows:
        if heading is not None:
            placed.append(
                {"type": "row", "title": heading, "collapsed": False, "panels": [], "gridPos": {"x": 0, "y": y, "w": GRID, "h": 1}}
            )
            y += 1
        x = tallest = 0
        for panel in panels:
            size = panel["gridPos"]
            if x + size["w"] > GRID:
                x, y, tallest = 0, y + tallest, 0
            panel["gridPos"] = {"x": x, "y": y, "w": size["w"], "h": size["h"]}
            x, tallest = x + size["w"], max(tallest, size["h"])
            placed.append(panel)
        y += tallest
    for number, panel in enumerate(placed, start=1):
        panel["id"] = number
    return placed
