// @ts-check
// What there is to buy, who buys how much of it, and buying it.
import { call, get } from './gateway.js';
import { orderProcessing } from './business.js';
import { newTrace } from './trace.js';
import { token } from './session.js';

/** @typedef {import('./session.js').Sessions & { products: string[] }} Shop */

/** Ids of the products that the shop shows first, for `setup`. @returns {string[]} */
export function assortment() {
    const answer = get('/products?limit=100', '/products');
    const products = answer.body?.items?.map((/** @type {any} */ product) => product.product_id) || [];
    if (products.length < 50) throw new Error(`the catalogue has ${products.length} products; at least 50 are needed`);
    return products;
}

/** Few are wanted by many: the product in place n of the list about as often as 1/n says (Zipf). @param {string[]} products */
export function wanted(products) {
    return products[Math.min(products.length - 1, Math.floor(products.length ** Math.random()) - 1)];
}

/** So many different ones. @param {string[]} products @param {number} count */
export function several(products, count) {
    const chosen = new Set();
    while (chosen.size < Math.min(count, products.length)) chosen.add(wanted(products));
    return [...chosen];
}

/** Any of them. @param {string[]} products */
export const any = (products) => products[Math.floor(Math.random() * products.length)];

/**
 * Places an order of a few lines, for one thing only once (Idempotency-Key).
 * @param {Shop} data
 * @param {number} [lines]
 */
export function placeOrder(data, lines = 3) {
    const items = several(data.products, lines).map((id) => ({ product_id: id, quantity: 1 + Math.floor(Math.random() * 3) }));
    const request = { body: { items }, token: token(data, 'demo'), headers: { 'idempotency-key': newTrace().id }, expect: [201] };
    const answer = call('POST', '/orders', '/orders', request);
    if (answer.fine) orderProcessing.add(answer.duration);
    return { ...answer, request };
}

/** @param {Shop} data @param {string} orderId */
export const readOrder = (data, orderId) => get(`/orders/${orderId}`, '/orders/{order_id}', { token: token(data, 'demo') });

/** @param {Shop} data @param {string} orderId @param {number[]} [expect] */
export const cancelOrder = (data, orderId, expect = [200]) =>
    call('DELETE', `/orders/${orderId}`, '/orders/{order_id}', { token: token(data, 'demo'), expect });

/** An order that somebody thinks better of. @param {Shop} data @param {number} lines */
export function placeAndCancel(data, lines) {
    const { fine, body } = placeOrder(data, lines);
    return { fine: fine && cancelOrder(data, body.order_id).fine, body };
}

/** A step of an order, which admins take. @param {Shop} data @param {string} orderId @param {string} status @param {number[]} [expect] */
export const setStatus = (data, orderId, status, expect = [200]) =>
    call('PUT', `/orders/${orderId}/status`, '/orders/{order_id}/status', { body: { status }, token: token(data, 'admin'), expect });

/** A post of the demo user. @param {Shop} data */
export const writePost = (data) =>
    call('POST', '/posts', '/posts', {
        body: { title: 'On grinding', body: 'Fine, and then finer.' },
        token: token(data, 'demo'),
        expect: [201],
    });

/** @param {Shop} data @param {string} postId */
export const deletePost = (data, postId) =>
    call('DELETE', `/posts/${postId}`, '/posts/{post_id}', { token: token(data, 'demo'), expect: [204] });
