// @ts-check
// Requests to the gateway: each with a trace of its own, the status that it has to have, and its route as its name, so that
// metrics are not split by every id.
import http from 'k6/http';
import { check } from 'k6';
import { settings } from './settings.js';
import { newTrace, tell } from './trace.js';

/**
 * @typedef {object} Wanted
 * @property {number[]} [expect] statuses that are right; 200 where nothing is said
 * @property {object} [body]
 * @property {string} [token]
 * @property {Record<string, string>} [headers]
 * @property {Record<string, string>} [tags]
 */

/**
 * @typedef {object} Answer
 * @property {boolean} fine whether the status is an expected one
 * @property {number} status
 * @property {any} body what the JSON says; null where there is none
 * @property {string} etag
 * @property {number} duration milliseconds
 */

/**
 * @param {string} method
 * @param {string} path below /api/v1, ids filled in: `/orders/019c...?include=customer`
 * @param {string} route the same as the API names it: `/orders/{order_id}`
 * @param {Wanted} [wanted]
 * @returns {Answer}
 */
export function call(method, path, route, wanted = {}) {
    const expect = wanted.expect || [200];
    const trace = newTrace();
    const name = `${method} /api/v1${route}`;
    /** @type {Record<string, string>} */
    const headers = { traceparent: trace.traceparent, ...wanted.headers };
    if (wanted.token) headers.authorization = `Bearer ${wanted.token}`;
    if (wanted.body) headers['content-type'] = 'application/json';
    const response = http.request(method, `${settings.baseUrl}/api/v1${path}`, wanted.body ? JSON.stringify(wanted.body) : null, {
        headers,
        tags: { name, ...wanted.tags },
        responseCallback: http.expectedStatuses(...expect),
        timeout: '30s',
    });
    const fine = check(response, { [`${name} is ${expect.join(' or ')}`]: (answer) => expect.includes(answer.status) });
    if (!fine) tell(`${name} was ${response.status || response.error}`, trace.id);
    else if (response.timings.duration > settings.slow) tell(`${name} took ${Math.round(response.timings.duration)} ms`, trace.id);
    return {
        fine,
        status: response.status,
        body: `${response.headers['Content-Type']}`.includes('json') && response.body ? response.json() : null,
        etag: response.headers.Etag || '',
        duration: response.timings.duration,
    };
}

export const get = (/** @type {string} */ path, /** @type {string} */ route, /** @type {Wanted} */ wanted = {}) =>
    call('GET', path, route, wanted);

/** A value as part of a query. */
export const part = encodeURIComponent;
