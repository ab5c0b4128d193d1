"""Panels as Grafana wants them. A panel has no place yet: layout.py puts it into a row."""

PROMETHEUS = {"type": "prometheus", "uid": "${prometheus}"}
TEMPO = {"type": "tempo", "uid": "${tempo}"}
LOKI = {"type": "loki", "uid": "${loki}"}

RED, ORANGE, YELLOW, GREEN, BLUE = "red", "orange", "yellow", "green", "blue"


def query(expression, legend="", *, exemplars=False, instant=False, heatmap=False):
    """A Prometheus query. `exemplars`: dots that lead to traces."""
    target = {"datasource": PROMETHEUS, "expr": expression, "legendFormat": legend or "__auto"}
    target.update({"range": not instant, "instant": instant, "exemplar": exemplars})
    target["format"] = "heatmap" if heatmap else "table" if instant and not legend else "time_series"
    return target


def panel(kind, title, description, targets, *, width=12, height=8, needs=None, **more):
    """`needs` names what has to be the case for the panel to have data: docs/dashboards.md has the words."""
    for letter, target in zip("ABCDEFGHIJKLMNOP", targets):
        target["refId"] = letter
    made = {"type": kind, "title": title, "description": description, "targets": targets}
    made["datasource"] = targets[0]["datasource"] if targets else PROMETHEUS
    made["gridPos"] = {"w": width, "h": height}
    if needs:
        made["needs"] = [needs] if isinstance(needs, str) else list(needs)
    made.update(more)
    return made


def timeseries(title, description, targets, *, unit="short", links=(), stacked=False, limit=None, maximum=None, **more):
    custom = {"lineWidth": 1, "fillOpacity": 10, "showPoints": "never", "spanNulls": False}
    if stacked:
        custom["stacking"] = {"mode": "normal", "group": "A"}
        custom["fillOpacity"] = 40
    defaults = {"unit": unit, "min": 0, "custom": custom, "links": list(links)}
    if maximum is not None:
        defaults["max"] = maximum
    if limit is not None:
        custom["thresholdsStyle"] = {"mode": "line"}
        defaults["thresholds"] = steps(GREEN, (limit, RED))
    options = {
        "legend": {
            "displayMode": "table",
            "placement": "bottom",
            "calcs": ["mean", "max", "lastNotNull"],
            "sortBy": "Max",
            "sortDesc": True,
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel("timeseries", title, description, targets, fieldConfig=fields(defaults), options=options, **more)


def stat(title, description, expression, *, unit="short", thresholds=None, decimals=None, links=(), width=3, height=4, **more):
    defaults = {"unit": unit, "links": list(links), "thresholds": thresholds or steps(BLUE)}
    if decimals is not None:
        defaults["decimals"] = decimals
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "area",
        "textMode": "auto",
    }
    target = query(expression, "{{}}")
    target["legendFormat"] = "__auto"
    return panel("stat", title, description, [target], width=width, height=height, fieldConfig=fields(defaults), options=options, **more)


def bars(title, description, expression, legend, *, unit="short", links=(), **more):
    """The state of now, the largest first."""
    defaults = {"unit": unit, "min": 0, "links": list(links), "thresholds": steps(BLUE)}
    options = {
        "orientation": "horizontal",
        "displayMode": "basic",
        "valueMode": "text",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    target = query(f"sort_desc({expression})", legend, instant=True)
    return panel("bargauge", title, description, [target], fieldConfig=fields(defaults), options=options, **more)


def heatmap(title, description, expression, *, unit="s", **more):
    options = {
        "calculate": False,
        "cellGap": 1,
        "color": {"mode": "scheme", "scheme": "Spectral", "steps": 64, "reverse": True},
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "yAxis": {"unit": unit},
        "rowsFrame": {"layout": "auto"},
        "tooltip": {"mode": "single", "yHistogram": True},
        "legend": {"show": True},
        "cellValues": {"unit": "reqps"},
    }
    target = query(expression, "{{le}}", exemplars=more.pop("exemplars", True), heatmap=True)
    return panel("heatmap", title, description, [target], fieldConfig=fields({}), options=options, **more)


def table(title, description, columns, *, key, links=(), **more):
    """A line for each value of the labels in `key`; `columns` are (heading, unit, expression)."""
    targets = [query(expression, instant=True) for _, _, expression in columns]
    names = {f"Value #{letter}": heading for letter, (heading, _, _) in zip("ABCDEFGH", columns)}
    if len(columns) == 1:
        names = {"Value": columns[0][0]}
    transformations = [
        {"id": "merge", "options": {}},
        {"id": "organize", "options": {"excludeByName": {"Time": True}, "renameByName": names}},
    ]
    overrides = [override(heading, unit=unit) for heading, unit, _ in columns]
    overrides += [override(label, links=list(links)) for label in key[:1] if links]
    options = {"showHeader": True, "sortBy": [{"displayName": columns[0][0], "desc": True}]}
    return panel(
        "table", title, description, targets, fieldConfig=fields({}, overrides), options=options, transformations=transformations, **more
    )


def states(title, description, expression, legend, *, words, **more):
    """A band for each series; `words` says what a value is called and its colour."""
    mappings = [{"type": "value", "options": {str(value): {"text": text, "color": color} for value, (text, color) in words.items()}}]
    defaults = {"mappings": mappings, "thresholds": steps(BLUE), "custom": {"fillOpacity": 70, "lineWidth": 0}}
    options = {"showValue": "never", "mergeValues": True, "rowHeight": 0.8, "legend": {"displayMode": "list", "placement": "bottom"}}
    return panel("state-timeline", title, description, [query(expression, legend)], fieldConfig=fields(defaults), options=options, **more)


def traces(title, description, traceql, *, limit=20, width=24, **more):
    target = {"datasource": TEMPO, "queryType": "traceql", "query": traceql, "limit": limit, "tableType": "traces"}
    return panel("table", title, description, [target], width=width, fieldConfig=fields({}), options={"showHeader": True}, **more)


def lines(title, description, logql, *, width=24, **more):
    target = {"datasource": LOKI, "expr": logql, "queryType": "range"}
    options = {"showTime": True, "wrapLogMessage": True, "enableLogDetails": True, "sortOrder": "Descending", "dedupStrategy": "none"}
    return panel("logs", title, description, [target], width=width, fieldConfig=fields({}), options=options, **more)


def text(markdown, *, width=24, height=3):
    return {"type": "text", "title": "", "gridPos": {"w": width, "h": height}, "options": {"mode": "markdown", "content": markdown}}


def fields(defaults, overrides=()):
    return {"defaults": defaults, "overrides": list(overrides)}


def override(name, **properties):
    return {"matcher": {"id": "byName", "options": name}, "properties": [{"id": key, "value": value} for key, value in properties.items()]}


def steps(first, *others):
    """Thresholds: the colour of what is small, then (from, colour)."""
    return {"mode": "absolute", "steps": [{"color": first, "value": None}] + [{"color": color, "value": value} for value, color in others]}
