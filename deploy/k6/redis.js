// @ts-check
// What reaches Redis, through the API (k6's own Redis module is deprecated): docs/load-testing.md has the command behind each kind.
// Hot keys: few products are read by many.
import { call, get } from './modules/gateway.js';
import { turns } from './modules/deck.js';
import { errors, hasDiagnostics } from './modules/errors.js';
import { options as build } from './modules/options.js';
import { report } from './modules/report.js';
import { closeSessions, logIn, logOut, openSessions, renew, token } from './modules/session.js';
import { settings } from './modules/settings.js';
import { assortment, deletePost, several, wanted, writePost } from './modules/shop.js';

/** @typedef {import('./modules/errors.js').ErrorShop} Data */

const NOBODYS = '00000000-0000-7000-8000-0000000000ff';

/** @type {Record<string, import('./modules/deck.js').Kind<Data>>} */
const kinds = {
    hot_key: { weight: 45, act: (data) => get(`/products/${wanted(data.products)}`, '/products/{product_id}').fine },
    many_keys: {
        weight: 12,
        act: (data) => call('POST', '/products/batch', '/products/batch', { body: { ids: several(data.products, 50) } }).fine,
    },
    known_missing: { weight: 5, act: () => get(`/products/${NOBODYS}`, '/products/{product_id}', { expect: [404] }).fine },
    write_through: {
        weight: 8,
        act: (data) => {
            const { fine, body } = writePost(data);
            return fine && get(`/posts/${body.post_id}`, '/posts/{post_id}').fine && deletePost(data, body.post_id).fine;
        },
    },
    window: {
        weight: 12,
        act: (data) => {
            const body = { key: `k6-${Math.floor(Math.random() * 16)}`, limit: 10000, window_seconds: 1 };
            return call('POST', '/rate-limit/check', '/rate-limit/check', { body, token: token(data, 'demo'), expect: [200, 429] }).fine;
        },
    },
    leaderboard: { weight: 8, act: () => get('/leaderboard?limit=10', '/leaderboard').fine },
    session: { weight: 8, act: (data) => get('/auth/me', '/auth/me', { token: token(data, 'demo') }).fine },
    rotation: { weight: 2, act: () => logOut(renew(logIn(settings.demo))) },
};

export const options = build({ transactions: Object.keys(kinds), requests: ['http_req_duration'] });
/** @returns {Data} */
export const setup = () => ({ ...openSessions(), products: assortment(), diagnostics: hasDiagnostics() });
export const teardown = closeSessions;
export const handleSummary = report('redis');
export default turns(kinds, errors);
