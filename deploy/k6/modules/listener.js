// @ts-check
// Somebody who changes its own account and listens for the event of it: what goes into Kafka and how long after it comes out.
// (auth's outbox, the topic user-events, back to auth, and its gRPC stream: docs/events.md)
import grpc from 'k6/net/grpc';
import exec from 'k6/execution';
import { check } from 'k6';
import { Trend } from 'k6/metrics';
import { call } from './gateway.js';
import { stream } from './rpc.js';
import { logIn, logOut } from './session.js';
import { newTrace } from './trace.js';

/** From asking for a change until its event was heard. */
export const eventDelivery = new Trend('event_delivery_duration', true);

/** @typedef {{ email: string, password: string, userId: string }} Account */

const CHANGES = 10;
/** Milliseconds after which an event counts as lost. */
const PATIENCE = 10000;

/** An account for the listener, for `setup`. @returns {Account} */
export function openAccount() {
    const name = `k6-${newTrace().id.slice(0, 12)}`;
    const form = { username: name, email: `${name}@example.org`, password: newTrace().id };
    const { fine, status, body } = call('POST', '/auth/register', '/auth/register', { body: form, expect: [201] });
    if (!fine) throw new Error(`cannot make an account for the listener: ${status}`);
    return { email: form.email, password: form.password, userId: body.user_id };
}

/** For `teardown`. @param {Account} account */
export function closeAccount(account) {
    const { access } = logIn(account);
    call('DELETE', `/users/${account.userId}`, '/users/{user_id}', { token: access, expect: [204] });
}

/** Names that nobody had yet. */
let turn = 0;
function nextName() {
    turn += 1;
    return `k6-${exec.vu.idInTest}-${turn}-${newTrace().id.slice(0, 12)}`;
}

/** Listens, changes the account a few times, hears of each change, and logs out, which ends the stream. @param {Account} account */
export async function listen(account) {
    const session = logIn(account);
    /** @type {(username: string) => void} */
    let heard = () => {};
    const wanted = {
        token: session.access,
        expect: grpc.StatusUnauthenticated,
        hear: (/** @type {any} */ event) => heard(JSON.parse(event.data).username),
    };
    const open = stream('auth', 'throughline.auth.v1.AuthService/StreamEvents', [{ eventTypes: ['UserUpdated'] }], wanted);

    /** Changes the name, and tells the milliseconds until it was heard of. @param {number} patience @returns {Promise<number | undefined>} */
    const change = (patience) =>
        new Promise((resolve) => {
            const username = nextName();
            const began = Date.now();
            const timer = setTimeout(() => resolve(undefined), patience);
            heard = (name) => {
                if (name !== username) return;
                clearTimeout(timer);
                resolve(Date.now() - began);
            };
            const path = `/users/${account.userId}`;
            if (!call('PUT', path, '/users/{user_id}', { body: { username }, token: session.access }).fine) resolve(undefined);
        });

    // a stream has no past, and does not tell since when it listens: so until the first event
    let listening = false;
    for (let tries = 0; !listening && tries < 10; tries += 1) listening = (await change(1000)) !== undefined;
    let delivered = 0;
    for (let count = 0; listening && count < CHANGES; count += 1) {
        const took = await change(PATIENCE);
        if (took === undefined) continue;
        delivered += 1;
        eventDelivery.add(took);
    }
    const all = check(delivered, { 'every event is heard': (count) => count === CHANGES });
    const out = logOut(session);
    return (await open).fine && all && out;
}
