#!/usr/bin/env bash
# Stands in for OBI in tests: records how it was started, and makes the one span that OBI would
# make of each request by which the launcher looks for it. Runs in the home of the mesh.
set -euo pipefail
trap 'echo "fake obi ends"; exit 0' TERM
env | sort >fake-obi.env
echo "fake obi: $# arguments, pid $$"
seen=" "
while :; do
    while read -r _ _ traceparent service; do
        trace="$(cut -d- -f2 <<<"$traceparent")" caller="$(cut -d- -f3 <<<"$traceparent")"
        case "$seen" in *" $trace "*) continue ;; esac
        if [ -e "fake-obi.blind-to-${service#service=}" ]; then continue; fi
        curl -s --fail -o /dev/null -H 'content-type: application/json' "$OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" -d '{"resourceSpans":[{
            "resource":{"attributes":[{"key":"service.name","value":{"stringValue":"'"${service#service=}"'"}}]},
            "scopeSpans":[{"spans":[{"traceId":"'"$trace"'","spanId":"'"${trace:0:16}"'","parentSpanId":"'"$caller"'","name":"GET /livez",
                "kind":2,"startTimeUnixNano":"1","endTimeUnixNano":"2"}]}]}]}'
        seen="$seen$trace "
    done < <(grep '^GET ' logs/obi-probe.log 2>/dev/null || true)
    sleep 0.2 &
    wait $!
done
