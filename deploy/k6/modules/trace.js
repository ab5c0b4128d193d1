// @ts-check
// Each request has a trace of its own (W3C Trace Context), so that it can be looked up: `./mesh trace ID`.
import exec from 'k6/execution';

/** @param {number} length */
function hex(length) {
    const bytes = crypto.getRandomValues(new Uint8Array(length));
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** A new trace. Samples of what is sent with it carry its id as metadata, which `-o json=FILE` writes and no metric is split by. */
export function newTrace() {
    const id = hex(16);
    exec.vu.metrics.metadata.trace_id = id;
    return { id, traceparent: `00-${id}-${hex(8)}-01` };
}

let told = 0;

/** Says where to look, a few times for each user and not for each of a million. @param {string} what @param {string} traceId */
export function tell(what, traceId) {
    if (told < 3) {
        told += 1;
        console.warn(`${what}: trace ${traceId}`);
    }
}
