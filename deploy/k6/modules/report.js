// @ts-check
// The end of a run: a few lines for the terminal, all figures as JSON, and one HTML file that needs nothing else.
import { STYLE, bars, escape, number, table } from './html.js';
import { settings } from './settings.js';

/** @typedef {{ type: string, contains: string, values: Record<string, number>, thresholds?: Record<string, { ok: boolean }> }} Metric */
/** @typedef {{ metrics: Record<string, Metric>, root_group: any, state: { testRunDurationMs: number } }} Summary */

/** @param {Summary} data */
function thresholds(data) {
    return Object.entries(data.metrics).flatMap(([metric, { thresholds = {} }]) =>
        Object.entries(thresholds).map(([threshold, { ok }]) => ({ metric, threshold, ok })),
    );
}

/** Checks of all groups. @param {any} group @returns {{ name: string, passes: number, fails: number }[]} */
const checks = (group) => [...(group.checks || []), ...(group.groups || []).flatMap(checks)];

/** A counter's value of each of a label's values. @param {Summary} data @param {string} metric @param {string} label */
function split(data, metric, label) {
    const begin = `${metric}{${label}:`;
    const found = Object.entries(data.metrics).filter(([name]) => name.startsWith(begin));
    return found.map(([name, { values }]) => ({ name: name.slice(begin.length, -1), count: values.count }));
}

/** @param {Summary} data */
const trends = (data) => Object.entries(data.metrics).filter(([, { type, values }]) => type === 'trend' && values.count > 0);

/** @param {Summary} data @param {string} metric */
const count = (data, metric) => data.metrics[metric]?.values.count || 0;

/** @param {string} script @param {Summary} data */
function facts(script, data) {
    const held = thresholds(data);
    return {
        script,
        profile: settings.profile,
        passed: held.every(({ ok }) => ok),
        seconds: data.state.testRunDurationMs / 1000,
        http_requests: count(data, 'http_reqs'),
        // streams are among them
        grpc_requests: count(data, 'grpc_req_duration'),
        iterations: count(data, 'iterations'),
        dropped_iterations: count(data, 'dropped_iterations'),
        business_transactions: count(data, 'business_transactions'),
        transactions: split(data, 'business_transactions', 'transaction'),
        error_cases: count(data, 'error_cases'),
        failed_thresholds: held.filter(({ ok }) => !ok).map(({ metric, threshold }) => `${metric}: ${threshold}`),
    };
}

/** @param {ReturnType<typeof facts>} known @param {Summary} data @param {string} file */
function lines(known, data, file) {
    const each = trends(data).map(
        ([name, { values }]) => `  ${name}: p50 ${number(values.med)}  p95 ${number(values['p(95)'])}  p99 ${number(values['p(99)'])} ms`,
    );
    return [
        `${known.script} (${known.profile}): ${known.passed ? 'all thresholds held' : 'FAILED'}`,
        `  ${known.http_requests} HTTP and ${known.grpc_requests} gRPC requests, ${known.business_transactions} transactions in ${number(known.seconds)} s`,
        ...each.filter((line) => /req_duration:|order_processing|event_|stream_/.test(line)),
        ...known.failed_thresholds.map((threshold) => `  not held: ${threshold}`),
        `  report: ${file}.html`,
        '',
    ].join('\n');
}

/** @param {ReturnType<typeof facts>} known @param {Summary} data */
function page(known, data) {
    const title = `${known.script}: ${known.profile}`;
    const { vus, rate, duration, ramp, baseUrl } = settings;
    const figures = [
        ['target', baseUrl],
        ['load', rate > 0 ? `${rate} iterations a second (open loop)` : `${vus} virtual users (closed loop)`],
        ['level held for', duration],
        ['level reached in', ramp],
        ['took', `${number(known.seconds)} s`],
        ['requests', `${known.http_requests} HTTP, ${known.grpc_requests} gRPC`],
        ['transactions a second', number(known.business_transactions / known.seconds)],
        ['iterations dropped', known.dropped_iterations],
        ['refused as it should be', known.error_cases],
    ];
    const percentiles = ['med', 'p(90)', 'p(95)', 'p(99)', 'max'];
    const durations = trends(data).filter(([, { contains }]) => contains === 'time');
    const verdict = (/** @type {boolean} */ ok) => (ok ? 'held' : 'NOT HELD');
    return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escape(title)}</title><style>${STYLE}</style>
<h1>${escape(title)}</h1>
<p class="${known.passed ? 'good' : 'bad'}">${known.passed ? 'All thresholds held.' : `Not held: ${escape(known.failed_thresholds.join('; '))}`}</p>
<h2>The run</h2>${table([], figures)}
<h2>Transactions</h2>${bars(known.transactions)}
<h2>Durations, in milliseconds</h2>
${table(
    ['metric', ...percentiles, 'samples'],
    durations.map(([name, { values }]) => [name, ...percentiles.map((key) => number(values[key])), values.count]),
)}
<h2>Thresholds</h2>${table(
        ['metric', 'threshold', ''],
        thresholds(data).map(({ metric, threshold, ok }) => [metric, threshold, verdict(ok)]),
    )}
<h2>Checks</h2>${table(
        ['check', 'passed', 'failed'],
        checks(data.root_group).map(({ name, passes, fails }) => [name, passes, fails]),
    )}
</html>
`;
}

/** The function `handleSummary` of a script. @param {string} script */
export function report(script) {
    return (/** @type {any} */ data) => {
        const known = facts(script, data);
        const file = `${settings.reports}/k6-${script}-${settings.profile}`;
        return {
            stdout: lines(known, data, file),
            [`${file}.html`]: page(known, data),
            [`${file}.json`]: `${JSON.stringify({ ...known, metrics: data.metrics }, null, 2)}\n`,
        };
    };
}
