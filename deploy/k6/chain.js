// @ts-check
// The whole chain as people use it: they browse, search, read, log in, order, cancel, comment. An order is one trace over HTTP, gRPC,
// SQL, Redis and Kafka.
import { call, get } from './modules/gateway.js';
import { turns } from './modules/deck.js';
import { errors, hasDiagnostics } from './modules/errors.js';
import { options as build } from './modules/options.js';
import { report } from './modules/report.js';
import { closeSessions, logIn, logOut, openSessions, token } from './modules/session.js';
import { settings } from './modules/settings.js';
import { any, assortment, placeAndCancel, deletePost, placeOrder, readOrder, wanted, writePost } from './modules/shop.js';

/** @typedef {import('./modules/errors.js').ErrorShop & { posts: string[] }} Data */

const product = (/** @type {Data} */ data) => get(`/products/${wanted(data.products)}`, '/products/{product_id}').fine;

/** @type {Record<string, import('./modules/deck.js').Kind<Data>>} */
const kinds = {
    browse: {
        weight: 32,
        act: (data) => get('/products?category=coffee&sort=price&limit=12', '/products').fine && product(data) && product(data),
    },
    search: {
        weight: 15,
        act: (data) => get('/products/search?q=grinder&limit=10', '/products/search').fine && product(data),
    },
    read: {
        weight: 15,
        act: (data) =>
            get('/posts?limit=10', '/posts').fine &&
            get(`/posts/${any(data.posts)}`, '/posts/{post_id}').fine &&
            get('/leaderboard?limit=5', '/leaderboard').fine,
    },
    login: {
        weight: 3,
        act: () => {
            const session = logIn(settings.demo);
            const { fine } = get('/auth/me', '/auth/me', { token: session.access });
            return logOut(session) && fine;
        },
    },
    order: {
        weight: 22,
        act: (data) => {
            if (!product(data)) return false;
            const { fine, body } = placeOrder(data);
            return fine && readOrder(data, body.order_id).fine;
        },
    },
    cancel: { weight: 5, act: (data) => placeAndCancel(data, 2).fine },
    comment: {
        weight: 8,
        act: (data) => {
            const path = `/posts/${any(data.posts)}/comments`;
            return call('POST', path, '/posts/{post_id}/comments', {
                body: { body: 'So it is.' },
                token: token(data, 'demo'),
                expect: [201],
            }).fine;
        },
    },
};

export const options = build({ transactions: Object.keys(kinds), requests: ['http_req_duration'], orders: true });

/** @returns {Data} */
export function setup() {
    const shop = { ...openSessions(), products: assortment(), diagnostics: hasDiagnostics() };
    // a page shows 500 comments at most, and so many would soon be below one post
    return { ...shop, posts: Array.from({ length: 20 }, () => writePost(shop).body.post_id) };
}

/** @param {Data} data */
export function teardown(data) {
    for (const post of data.posts) deletePost(data, post);
    closeSessions(data);
}

export const handleSummary = report('chain');
export default turns(kinds, errors);
