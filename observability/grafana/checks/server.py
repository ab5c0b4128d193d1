"""Questions to Prometheus and to a trace backend."""

import json
import math
import urllib.error
import urllib.parse
import urllib.request

TIMEOUT = 30


class Refused(Exception):
    """The server understood the question and said no: a wrong query, for one."""


class Unreachable(Exception):
    """There is no server, or it says something else than it should."""


def get(url, **parameters):
    """The JSON of an answer. Several values of one parameter are given as a list."""
    asked = url + ("?" + urllib.parse.urlencode(parameters, doseq=True) if parameters else "")
    try:
        with urllib.request.urlopen(urllib.request.Request(asked, headers={"Accept": "application/json"}), timeout=TIMEOUT) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refusal:
        text = refusal.read().decode("utf-8", "replace")
        try:
            text = json.loads(text).get("error", text)
        except (ValueError, AttributeError):
            pass
        raise Refused(f"{refusal.code}: {str(text).strip()[:500]}") from None
    except (OSError, ValueError) as problem:
        raise Unreachable(f"{url}: {problem}") from None


class Prometheus:
    def __init__(self, url, start, end, step):
        self.url, self.start, self.end, self.step = url.rstrip("/"), start, end, step
        self._labels = {}

    def ask(self, path, **parameters):
        return get(f"{self.url}/api/v1/{path}", **parameters)["data"]

    def names(self):
        return set(self.ask("label/__name__/values", start=self.start, end=self.end))

    def labels(self, metric):
        """Labels that any series of the metric has had in the time looked at."""
        if metric not in self._labels:
            match = {"match[]": f'{{__name__="{metric}"}}'}
            self._labels[metric] = set(self.ask("labels", start=self.start, end=self.end, **match)) - {"__name__"}
        return self._labels[metric]

    def series(self, expression, instant):
        """How many series the answer has with at least one number in it."""
        if instant:
            data = self.ask("query", query=expression, time=self.end)
            if data["resultType"] == "scalar":
                return 1
            return sum(_is_number(one["value"][1]) for one in data["result"])
        data = self.ask("query_range", query=expression, start=self.start, end=self.end, step=self.step)
        return sum(any(_is_number(value) for _, value in one["values"]) for one in data["result"])

    def exemplars(self, expression):
        """Trace ids of a query's exemplars, newest first."""
        data = self.ask("query_exemplars", query=expression, start=self.start, end=self.end)
        found = [(float(one["timestamp"]), one["labels"].get("trace_id", "")) for series in data for one in series["exemplars"]]
        return [trace for _, trace in sorted(found, reverse=True) if trace]

    def rules(self):
        """(name, expression) of the rules that are loaded, and what Prometheus says is wrong with them."""
        return [
            (rule["name"], rule["query"], rule.get("lastError", "")) for group in self.ask("rules")["groups"] for rule in group["rules"]
        ]


class Tempo:
    """Tempo's query API, or that of the mesh's own backend, which knows tags and no TraceQL."""

    def __init__(self, url):
        self.url = url.rstrip("/")
        self._traceql = True

    def knows(self, trace):
        try:
            get(f"{self.url}/api/traces/{trace}")
        except Refused:
            return False
        return True

    def search(self, traceql, tags):
        """How many traces are found, or None where this backend cannot be asked: it knows no TraceQL, and tags cannot say it."""
        if self._traceql:
            try:
                return self._found(q=traceql, limit=20)
            except Refused as refusal:
                if "not supported" not in str(refusal):
                    raise
                self._traceql = False
        return self._found(**tags) if tags else None

    def _found(self, **parameters):
        return len(get(f"{self.url}/api/search", **parameters).get("traces") or [])


def _is_number(value):
    return not math.isnan(float(value))
