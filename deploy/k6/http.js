// @ts-check
// The public API over HTTP (docs/http.md): lists and their pages, search, reads that have not changed, changes to the version that was
// read, batches, orders placed once however often they are sent, sessions.
import { call, get, part } from './modules/gateway.js';
import { errors, hasDiagnostics } from './modules/errors.js';
import { options as build } from './modules/options.js';
import { report } from './modules/report.js';
import { closeSessions, logIn, logOut, openSessions, renew, token } from './modules/session.js';
import { settings } from './modules/settings.js';
import { assortment, placeAndCancel, deletePost, placeOrder, readOrder, several, wanted, writePost } from './modules/shop.js';
import { turns } from './modules/deck.js';

/** @typedef {import('./modules/errors.js').ErrorShop} Data */

/** @type {Record<string, import('./modules/deck.js').Kind<Data>>} */
const kinds = {
    read: { weight: 30, act: (data) => get(`/products/${wanted(data.products)}`, '/products/{product_id}').fine },
    unchanged: {
        weight: 12,
        act: (data) => {
            const path = `/products/${wanted(data.products)}`;
            const { fine, etag } = get(path, '/products/{product_id}');
            return fine && get(path, '/products/{product_id}', { headers: { 'if-none-match': etag }, expect: [304] }).fine;
        },
    },
    pages: {
        weight: 14,
        act: () => {
            const { fine, body } = get('/products?limit=20&sort=price', '/products');
            return fine && get(`/products?limit=20&sort=price&cursor=${part(body.next_cursor)}`, '/products').fine;
        },
    },
    search: { weight: 10, act: () => get('/products/search?q=espresso&limit=5', '/products/search').fine },
    batch: {
        weight: 8,
        act: (data) => call('POST', '/products/batch', '/products/batch', { body: { ids: several(data.products, 20) } }).fine,
    },
    order: {
        weight: 14,
        act: (data) => {
            const { fine, body, request } = placeOrder(data);
            // sent again, as after a broken connection: the same order
            const again = fine && call('POST', '/orders', '/orders', { ...request, expect: [200] });
            return again && again.body.order_id === body.order_id && readOrder(data, body.order_id).fine;
        },
    },
    cancel: { weight: 4, act: (data) => placeAndCancel(data, 1).fine },
    edit: {
        weight: 5,
        act: (data) => {
            const post = writePost(data);
            if (!post.fine) return false;
            const path = `/posts/${post.body.post_id}`;
            const { etag } = get(path, '/posts/{post_id}');
            const edit = { body: { title: 'On grinding', body: 'Coarser.' }, token: token(data, 'demo'), headers: { 'if-match': etag } };
            const edited = call('PUT', path, '/posts/{post_id}', edit).fine;
            // the version has passed
            const late = call('PUT', path, '/posts/{post_id}', { ...edit, expect: [412] }).fine;
            return deletePost(data, post.body.post_id).fine && edited && late;
        },
    },
    session: {
        weight: 3,
        act: () => {
            const renewed = renew(logIn(settings.demo));
            const { fine } = get('/auth/me', '/auth/me', { token: renewed.access });
            return logOut(renewed) && fine;
        },
    },
};

export const options = build({ transactions: Object.keys(kinds), requests: ['http_req_duration'], orders: true });
/** @returns {Data} */
export const setup = () => ({ ...openSessions(), products: assortment(), diagnostics: hasDiagnostics() });
export const teardown = closeSessions;
export const handleSummary = report('http');
export default turns(kinds, errors);
