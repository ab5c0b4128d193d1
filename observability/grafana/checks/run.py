"""One look at everything."""

from . import logql, traceql
from .promql import Names
from .server import Refused

# Made by Prometheus itself.
SYNTHETIC = {"up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_series_added", "ALERTS", "ALERTS_FOR_STATE"}
TARGET = {"job", "instance", "service_name", "service_namespace"}
ALERT = {"alertname", "alertstate", "severity"} | TARGET
# Traces that are looked up for each query with exemplars.
EXEMPLARS = 3


class Run:
    def __init__(self, prometheus, tempo, documented, on, exemplars):
        self.prometheus, self.tempo, self.documented, self.on, self.exemplars = prometheus, tempo, documented, on, exemplars
        self.present = prometheus.names()
        self.loaded = prometheus.rules()
        self.recorded = {name for name, _, _ in self.loaded if ":" in name}
        self.results = []

    def board(self, board, uids):
        for panel in board.panels():
            for target in panel["targets"]:
                self._target(board, panel, target)
        for where, expression, needs in board.others():
            result = self._note(board.name, where, expression, needs)
            self._prometheus(result, expression, False)
        for kind, query in board.searches():
            result = self._note(board.name, "links", query, [])
            (self._traces if kind == "tempo" else self._lines)(result, query)
        for uid in sorted(board.leads_to() - uids):
            self._note(board.name, "links", uid, [])["problems"].append(f"leads to /d/{uid}, which is no dashboard here")

    def rules(self):
        for name, expression, error in self.loaded:
            result = self._note("rules", name, expression, [])
            if error:
                result["problems"].append(error)
            result["problems"] += self._unknown(expression)

    def problems(self):
        return [result for result in self.results if result["problems"]]

    def report(self):
        counts = {state: sum(result["state"] == state for result in self.results) for state in ("data", "empty", "run", "parsed")}
        return {"ok": not self.problems(), "queries": len(self.results), **counts, "problems": self.problems(), "results": self.results}

    def text(self):
        lines = []
        for result in self.problems():
            lines += [f"{result['board']} / {result['panel']}: {problem}\n    {result['query']}" for problem in result["problems"]]
        quiet = [
            f"{one['board']} / {one['panel']}"
            for one in self.results
            if one["state"] == "empty" and not one["problems"] and one["board"] != "rules"
        ]
        if quiet:
            lines.append("empty, as they may be: " + "; ".join(dict.fromkeys(quiet)))
        report = self.report()
        said = f"{report['queries']} queries: {report['data']} with data, {report['empty']} empty, {report['run']} searches run, {report['parsed']} only parsed"
        lines.append(f"{said}, {len(report['problems'])} with problems")
        return "\n".join(lines)

    def _note(self, board, panel, query, needs):
        result = {"board": board, "panel": panel, "query": query, "needs": needs, "state": "parsed", "series": None, "problems": []}
        self.results.append(result)
        return result

    def _target(self, board, panel, target):
        kind = target["datasource"]["type"]
        query = board.expression(target["query"] if kind == "tempo" else target["expr"])
        result = self._note(board.name, panel["title"], query, panel.get("needs", []))
        if kind == "prometheus":
            self._prometheus(result, query, target.get("instant", False))
            if target.get("exemplar") and self.exemplars and not result["problems"]:
                self._exemplars(result, query)
        elif kind == "tempo":
            self._traces(result, query)
        elif kind == "loki":
            self._lines(result, query)
        else:
            result["problems"].append(f"asks a source of kind {kind!r}: only prometheus, tempo and loki are known here")

    def _prometheus(self, result, query, instant):
        result["problems"] += self._unknown(query)
        try:
            result["series"] = self.prometheus.series(query, instant)
        except Refused as refusal:
            result["problems"].append(f"bad query: {refusal}")
            return
        result["state"] = "data" if result["series"] else "empty"
        if not result["series"] and all(self._is_on(need) for need in result["needs"]):
            needs = f", though {' and '.join(result['needs'])} is on" if result["needs"] else ""
            result["problems"].append(f"no data{needs}")

    def _is_on(self, need):
        """A word, or several of which one will do: scenario:a|scenario:b."""
        return bool(self.on & set(need.split("|")))

    def _exemplars(self, result, query):
        traces = list(dict.fromkeys(self.prometheus.exemplars(query)))
        result["exemplars"] = len(traces)
        if not traces:
            result["problems"].append("no exemplars")
        elif self.tempo:
            lost = [trace for trace in traces[:EXEMPLARS] if not self.tempo.knows(trace)]
            if lost:
                result["problems"].append(f"exemplars lead to traces that the backend does not know: {', '.join(lost)}")

    def _traces(self, result, query):
        try:
            parsed = traceql.Query(query)
        except traceql.Wrong as problem:
            result["problems"].append(f"TraceQL: {problem}")
            return
        if self.tempo:
            try:
                found = self.tempo.search(query, traceql.as_tags(parsed))
            except Refused as refusal:
                result["problems"].append(f"bad search: {refusal}")
                return
            if found is not None:
                result["series"], result["state"] = found, "run"

    def _lines(self, result, query):
        try:
            logql.parse(query)
        except logql.Wrong as problem:
            result["problems"].append(f"LogQL: {problem}")

    def _unknown(self, query):
        """Metrics and labels that nobody exports and no page documents."""
        names = Names(query)
        problems, had = [], set(names.made)
        for metric, labels in names.selectors:
            if not metric:
                problems.append("a selector without a metric")
                continue
            if metric in self.present:
                known = self.prometheus.labels(metric) | TARGET | self.documented.get(metric, set())
            elif metric in self.documented:
                known = self.documented[metric] | TARGET
            elif metric in SYNTHETIC:
                known = ALERT if metric.startswith("ALERTS") else TARGET
            elif metric in self.recorded:
                known = names.grouped | labels
            else:
                problems.append(f"unknown metric {metric}")
                continue
            if metric.startswith("ALERTS"):
                known = known | ALERT
            problems += [f"unknown label {label} of {metric}" for label in sorted(labels - known)]
            had |= known
        if not problems:
            problems += [
                f"unknown label {label}: none of {', '.join(sorted(names.metrics()))} has it" for label in sorted(names.grouped - had)
            ]
        return problems
