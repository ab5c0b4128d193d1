// @ts-check
// The options of a script: the scenario of the profile, and what has to hold.
import { isTimed, scenario } from './profiles.js';
import { settings } from './settings.js';

/**
 * @typedef {object} Needs
 * @property {string[]} transactions the kinds that the script does
 * @property {string[]} requests metrics of durations of requests, `http_req_duration` and so on
 * @property {boolean} [orders] whether it places orders
 * @property {Record<string, import('k6/options').Scenario>} [beside] further scenarios
 * @property {Record<string, string[]>} [thresholds] further ones
 */

/** @param {Needs} needs @returns {import('k6/options').Options} */
export function options({ transactions, requests, orders = false, beside = {}, thresholds = {} }) {
    const { profile, maxErrors, p95, p99, rate } = settings;
    // without any sample these do not hold, so that a run that did nothing fails
    /** @type {Record<string, string[]>} */
    const held = {
        checks: [`rate>=${1 - maxErrors}`],
        business_transactions: ['count>0'],
        business_transactions_failed: [`rate<=${maxErrors}`],
        iterations: ['count>0'],
    };
    for (const transaction of transactions) {
        // in the profile smoke every kind has its turn; elsewhere they are only counted apart
        held[`business_transactions{transaction:${transaction}}`] = [profile === 'smoke' ? 'count>0' : 'count>=0'];
    }
    const timed = [`p(95)<${p95}`, `p(99)<${p99}`];
    for (const duration of [...requests, ...(orders ? ['order_processing_duration'] : [])]) held[duration] = isTimed ? timed : ['max>0'];
    if (requests.includes('http_req_duration')) {
        held.http_req_failed = [`rate<=${maxErrors}`];
        held.http_reqs = ['count>0'];
    }
    // the rate that was asked for has to be reached, to one in a hundred
    if (rate > 0) held.dropped_iterations = [`rate<=${rate / 100}`];
    return {
        scenarios: { [profile]: scenario(), ...beside },
        thresholds: { ...held, ...thresholds },
        summaryTrendStats: ['avg', 'min', 'med', 'p(90)', 'p(95)', 'p(99)', 'max', 'count'],
        userAgent: 'throughline-k6',
        tags: { profile },
        // urls and traces would split every metric by each id; requests are named by their route
        systemTags: ['proto', 'status', 'method', 'name', 'error_code', 'scenario', 'expected_response', 'service', 'group', 'check'],
    };
}
