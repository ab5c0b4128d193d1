// @ts-check
// What reaches Postgres, through the API (k6 speaks no SQL): docs/load-testing.md has the statement behind each kind. 70 reads to
// 30 writes.
import { call, get, part } from './modules/gateway.js';
import { turns } from './modules/deck.js';
import { errors, hasDiagnostics } from './modules/errors.js';
import { options as build } from './modules/options.js';
import { report } from './modules/report.js';
import { closeSessions, openSessions, token } from './modules/session.js';
import { assortment, any, cancelOrder, deletePost, placeOrder, setStatus, writePost } from './modules/shop.js';

/** @typedef {import('./modules/errors.js').ErrorShop & { order: string }} Data */

const asDemo = (/** @type {Data} */ data) => ({ token: token(data, 'demo') });
const asAdmin = (/** @type {Data} */ data) => ({ token: token(data, 'admin') });

/** @type {Record<string, import('./modules/deck.js').Kind<Data>>} */
const kinds = {
    keyset: {
        weight: 22,
        act: (data) => {
            const { fine, body } = get('/orders?limit=20', '/orders', asAdmin(data));
            return fine && (!body.next_cursor || get(`/orders?limit=20&cursor=${part(body.next_cursor)}`, '/orders', asAdmin(data)).fine);
        },
    },
    filter: { weight: 14, act: () => get('/products?category=tea&min_price=5.00&sort=price_desc&limit=20', '/products').fine },
    full_text: { weight: 12, act: () => get('/products/search?q=beans%20or%20tea&limit=20', '/products/search').fine },
    join: { weight: 14, act: (data) => get(`/orders/${data.order}?include=customer,items`, '/orders/{order_id}', asDemo(data)).fine },
    aggregate: { weight: 4, act: (data) => get('/orders/stats', '/orders/stats', asDemo(data)).fine },
    // the last hour: a report over years is not what load consists of
    window: {
        weight: 2,
        act: (data) => {
            const from = part(new Date(Date.now() - 3600000).toISOString());
            return ['revenue-by-day', 'order-values', 'top-customers'].every(
                (name) => get(`/reports/${name}?created_from=${from}`, `/reports/${name}`, asAdmin(data)).fine,
            );
        },
    },
    stock: { weight: 2, act: (data) => get(`/products/${any(data.products)}/stock`, '/products/{product_id}/stock').fine },
    transaction: { weight: 14, act: (data) => placeOrder(data, 3).fine },
    locked_row: {
        weight: 8,
        act: (data) => {
            const { fine, body } = placeOrder(data, 1);
            return fine && setStatus(data, body.order_id, 'paid').fine && cancelOrder(data, body.order_id).fine;
        },
    },
    version: {
        weight: 8,
        act: (data) => {
            const post = writePost(data);
            if (!post.fine) return false;
            const path = `/posts/${post.body.post_id}`;
            const headers = { 'if-match': get(path, '/posts/{post_id}').etag };
            const changed = call('PUT', path, '/posts/{post_id}', {
                body: { title: 'Locks', body: 'None.' },
                headers,
                ...asDemo(data),
            }).fine;
            return deletePost(data, post.body.post_id).fine && changed;
        },
    },
};

export const options = build({ transactions: Object.keys(kinds), requests: ['http_req_duration'], orders: true });

/** @returns {Data} */
export function setup() {
    const shop = { ...openSessions(), products: assortment(), diagnostics: hasDiagnostics() };
    return { ...shop, order: placeOrder(shop).body.order_id };
}

export const teardown = closeSessions;
export const handleSummary = report('sql');
export default turns(kinds, errors);
