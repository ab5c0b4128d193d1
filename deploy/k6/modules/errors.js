// @ts-check
// What has to be refused, for the profile mixed: the caller's mistakes, and where the gateway offers it (diagnostics.enabled) errors
// on purpose. Each is checked to be refused as documented.
import { call, get } from './gateway.js';
import { errorCases } from './business.js';
import { any, placeAndCancel, placeOrder, setStatus } from './shop.js';
import { token } from './session.js';

/** @typedef {import('./shop.js').Shop & { diagnostics: boolean }} ErrorShop */

const NOWHERE = '00000000-0000-7000-8000-000000000000';

/** Whether the gateway answers with errors on purpose, for `setup`. */
export const hasDiagnostics = () => get('/slow?ms=0', '/slow', { expect: [200, 404] }).status === 200;

/** @param {string} name @param {{ fine: boolean }} answer */
export function refused(name, answer) {
    if (answer.fine) errorCases.add(1, { case: name });
    return answer.fine;
}

/** @type {Record<string, (data: ErrorShop) => boolean>} */
export const errors = {
    no_such_product: () => refused('no_such_product', get(`/products/${NOWHERE}`, '/products/{product_id}', { expect: [404] })),
    no_token: (data) =>
        refused(
            'no_token',
            call('POST', '/orders', '/orders', { body: { items: [{ product_id: any(data.products), quantity: 1 }] }, expect: [401] }),
        ),
    wrong_quantity: (data) => {
        const body = { items: [{ product_id: any(data.products), quantity: 0 }] };
        return refused('wrong_quantity', call('POST', '/orders', '/orders', { body, token: token(data, 'demo'), expect: [422] }));
    },
    not_an_admin: (data) => refused('not_an_admin', get('/customers', '/customers', { token: token(data, 'demo'), expect: [403] })),
    key_reused: (data) => {
        const { fine, request } = placeOrder(data, 1);
        const body = { items: [{ product_id: request.body.items[0].product_id, quantity: 900 }] };
        return fine && refused('key_reused', call('POST', '/orders', '/orders', { ...request, body, expect: [422] }));
    },
    step_forbidden: (data) => {
        const { fine, body } = placeAndCancel(data, 1);
        return fine && refused('step_forbidden', setStatus(data, body.order_id, 'paid', [409]));
    },
    on_purpose: (data) => !data.diagnostics || refused('on_purpose', get('/error?status=503', '/error', { expect: [503] })),
};
