// @ts-check
// What goes through Kafka, through the API (k6 speaks no Kafka): docs/load-testing.md has the topic behind each kind. Orders and logins
// make events; beside them one listener measures how long events take.
import { call } from './modules/gateway.js';
import { transact } from './modules/business.js';
import { turns } from './modules/deck.js';
import { errors, hasDiagnostics } from './modules/errors.js';
import { closeAccount, listen, openAccount } from './modules/listener.js';
import { options as build } from './modules/options.js';
import { length } from './modules/profiles.js';
import { report } from './modules/report.js';
import { closeSessions, logIn, logOut, openSessions } from './modules/session.js';
import { settings } from './modules/settings.js';
import { assortment, placeAndCancel, placeOrder, setStatus } from './modules/shop.js';

/** @typedef {import('./modules/errors.js').ErrorShop & { listener: import('./modules/listener.js').Account }} Data */

/** @type {Record<string, import('./modules/deck.js').Kind<Data>>} */
const kinds = {
    placed: { weight: 60, act: (data) => placeOrder(data).fine },
    paid: {
        weight: 22,
        act: (data) => {
            const { fine, body } = placeOrder(data, 1);
            return fine && setStatus(data, body.order_id, 'paid').fine;
        },
    },
    cancelled: { weight: 11, act: (data) => placeAndCancel(data, 2).fine },
    // the same order twice is one event
    replayed: {
        weight: 5,
        act: (data) => {
            const { fine, request } = placeOrder(data, 1);
            return fine && call('POST', '/orders', '/orders', { ...request, expect: [200] }).fine;
        },
    },
    // a password costs 20 ms of a core: more logins than these would measure that
    logged_in: { weight: 2, act: () => logOut(logIn(settings.demo)) },
};

export const options = build({
    transactions: [...Object.keys(kinds), 'delivered'],
    requests: ['http_req_duration'],
    orders: true,
    beside: { listener: { executor: 'constant-vus', vus: 1, duration: length(), exec: 'listener', gracefulStop: '40s' } },
    thresholds: { event_delivery_duration: ['max>0', 'p(95)<2000'], grpc_req_failed: [`rate<=${settings.maxErrors}`] },
});

/** @returns {Data} */
export const setup = () => ({ ...openSessions(), products: assortment(), diagnostics: hasDiagnostics(), listener: openAccount() });

/** @param {Data} data */
export const listener = (data) => transact('delivered', () => listen(data.listener));

/** @param {Data} data */
export function teardown(data) {
    closeAccount(data.listener);
    closeSessions(data);
}

export const handleSummary = report('kafka');
export default turns(kinds, errors);
