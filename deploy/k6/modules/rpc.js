// @ts-check
// gRPC: a connection of each virtual user to each server, which it learns by reflection; calls and streams, each with a trace of its own.
import grpc from 'k6/net/grpc';
import { check } from 'k6';
import { Rate, Trend } from 'k6/metrics';
import { settings } from './settings.js';
import { newTrace, tell } from './trace.js';

/** The share of calls and streams that ended with another status than they had to. */
export const failed = new Rate('grpc_req_failed');
/** From opening a stream to its end. */
export const streamDuration = new Trend('grpc_stream_duration', true);

/** @typedef {'auth' | 'catalog' | 'orders'} Server */

/** @type {Record<Server, any>} */
const clients = { auth: new grpc.Client(), catalog: new grpc.Client(), orders: new grpc.Client() };
/** @type {Set<Server>} */
const connected = new Set();

/** @param {Server} server */
export function client(server) {
    if (!connected.has(server)) {
        const [scheme, address] = settings.grpc[server].split('://');
        clients[server].connect(address, { plaintext: scheme === 'http', reflect: true, timeout: '10s' });
        connected.add(server);
    }
    return clients[server];
}

/** @param {string} [token] */
function context(token) {
    const trace = newTrace();
    /** @type {Record<string, string>} */
    const metadata = { traceparent: trace.traceparent };
    if (token) metadata.authorization = `Bearer ${token}`;
    return { trace, params: { metadata, timeout: '30s' } };
}

/** @param {string} method @param {number} status @param {number} expect @param {string} traceId @param {string} [said] */
function judge(method, status, expect, traceId, said = '') {
    const name = method.slice(method.lastIndexOf('.') + 1);
    const fine = check(status, { [`${name} is ${expect}`]: (code) => code === expect });
    failed.add(!fine, { name: method });
    if (!fine) tell(`${method} was ${status} ${said}`.trim(), traceId);
    return fine;
}

/**
 * A unary call.
 * @param {Server} server
 * @param {string} method `throughline.auth.v1.AuthService/Login`
 * @param {object} message
 * @param {{ token?: string, expect?: number }} [wanted]
 */
export function invoke(server, method, message, { token, expect = grpc.StatusOK } = {}) {
    const { trace, params } = context(token);
    const began = Date.now();
    const response = client(server).invoke(method, message, params);
    const fine = judge(method, response.status, expect, trace.id, response.error?.message);
    return { fine, message: /** @type {any} */ (response.message), duration: Date.now() - began };
}

/**
 * A stream of any kind, until it ends: sends `messages`, gives what comes to `hear`.
 * @param {Server} server
 * @param {string} method
 * @param {object[]} messages
 * @param {{ token?: string, expect?: number, hear?: (message: any, stream: any) => void, stay?: boolean }} [wanted]
 *     `stay`: does not end its own half; `hear` does
 * @returns {Promise<{ fine: boolean, messages: any[] }>}
 */
export function stream(server, method, messages, { token, expect = grpc.StatusOK, hear = () => {}, stay = false } = {}) {
    const { trace, params } = context(token);
    const began = Date.now();
    /** @type {any[]} */
    const heard = [];
    /** @type {number} */
    let status = grpc.StatusOK;
    let said = '';
    return new Promise((resolve) => {
        const open = new grpc.Stream(client(server), method, params);
        open.on('data', (/** @type {any} */ message) => {
            heard.push(message);
            hear(message, open);
        });
        open.on('error', (/** @type {any} */ error) => {
            status = error.code;
            said = error.message;
        });
        open.on('end', () => {
            streamDuration.add(Date.now() - began, { name: method });
            resolve({ fine: judge(method, status, expect, trace.id, said), messages: heard });
        });
        for (const message of messages) open.write(message);
        if (!stay) open.end();
    });
}
