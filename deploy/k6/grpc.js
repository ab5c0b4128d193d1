// @ts-check
// The services over gRPC (docs/grpc.md), straight at their ports: unary calls, streams of the server, of the client, and of both. The
// servers are learnt by reflection.
import grpc from 'k6/net/grpc';
import { b64encode } from 'k6/encoding';
import exec from 'k6/execution';
import { orderProcessing } from './modules/business.js';
import { turns } from './modules/deck.js';
import { refused } from './modules/errors.js';
import { options as build } from './modules/options.js';
import { report } from './modules/report.js';
import { client, invoke, stream } from './modules/rpc.js';
import { isFresh } from './modules/session.js';
import { settings } from './modules/settings.js';
import { several, wanted } from './modules/shop.js';

/** @typedef {{ access: string, expires: number, lifetime: number, user: { userId: string, username: string, email: string } }} Login */
/** @typedef {{ login: Login, products: string[] }} Data */

const AUTH = 'throughline.auth.v1';
const CATALOG = 'throughline.catalog.v1';
const ORDERS = 'throughline.orders.v1';

/** A JPEG by how it begins and ends: 48 KiB in three messages. */
const CHUNKS = [0, 1, 2].map((index) => {
    const bytes = new Uint8Array(16 << 10).fill(index + 1);
    if (index === 0) bytes.set([0xff, 0xd8, 0xff, 0xe0]);
    if (index === 2) bytes.set([0xff, 0xd9], bytes.length - 2);
    return { chunk: b64encode(bytes.buffer) };
});

/** This virtual user's own. @type {Login | undefined} */
let own;

/** @returns {Login} */
function logIn() {
    const { fine, message } = invoke('auth', `${AUTH}.AuthService/Login`, settings.demo);
    if (!fine) throw new Error(`cannot log in as ${settings.demo.email} at ${settings.grpc.auth}`);
    const { userId, username, email } = message.user;
    const lifetime = Number(message.expiresIn) * 1000;
    return { access: message.accessToken, expires: Date.now() + lifetime, lifetime, user: { userId, username, email } };
}

/** A token that lasts for a while yet. @param {Data} data */
function access(data) {
    const current = own || data.login;
    if (isFresh(current)) return current.access;
    own = logIn();
    return own.access;
}

/** @type {Record<string, import('./modules/deck.js').Kind<Data>>} */
const kinds = {
    validate: { weight: 22, act: (data) => invoke('auth', `${AUTH}.AuthService/ValidateToken`, { accessToken: access(data) }).fine },
    product: {
        weight: 26,
        act: (data) => invoke('catalog', `${CATALOG}.ProductService/GetProduct`, { productId: wanted(data.products) }).fine,
    },
    batch: {
        weight: 10,
        act: (data) => {
            const productIds = several(data.products, 20);
            const { fine, message } = invoke('catalog', `${CATALOG}.ProductService/BatchGetProducts`, { productIds });
            return fine && message.products.length === productIds.length;
        },
    },
    list: {
        weight: 8,
        act: () => invoke('catalog', `${CATALOG}.ProductService/ListProducts`, { pageSize: 20, sort: 'PRODUCT_SORT_PRICE' }).fine,
    },
    order: {
        weight: 12,
        act: (data) => {
            const items = several(data.products, 3).map((productId) => ({ productId, quantity: 1 }));
            const { fine, message, duration } = invoke('orders', `${ORDERS}.OrderService/PlaceOrder`, { customer: data.login.user, items });
            if (!fine) return false;
            orderProcessing.add(duration);
            return invoke('orders', `${ORDERS}.OrderService/GetOrder`, { orderId: message.order.orderId, userId: data.login.user.userId })
                .fine;
        },
    },
    server_stream: {
        weight: 10,
        act: async () => {
            const { fine, messages } = await stream('catalog', `${CATALOG}.ProductService/SearchProducts`, [
                { query: 'beans or tea', limit: 10 },
            ]);
            return fine && messages.length === 10;
        },
    },
    client_stream: {
        weight: 4,
        act: async (data) => {
            const parts = [{ userId: data.login.user.userId }, ...CHUNKS];
            const { fine, messages } = await stream('auth', `${AUTH}.UserService/SetAvatar`, parts, { token: access(data) });
            return fine && messages[0].avatar.size === 48 << 10;
        },
    },
    download: {
        weight: 4,
        act: async (data) => {
            const { fine, messages } = await stream('auth', `${AUTH}.UserService/GetAvatar`, [{ userId: data.login.user.userId }], {
                token: access(data),
            });
            return fine && messages[0].avatar.mediaType === 'image/jpeg' && messages.length > 1;
        },
    },
    both_ways: {
        weight: 4,
        act: async (data) => {
            const room = `k6-${exec.vu.idInTest}`;
            /** Says something once it is in, and leaves once it hears itself. */
            const hear = (/** @type {any} */ said, /** @type {any} */ chat) => {
                if (said.kind === 'CHAT_KIND_JOINED') chat.write({ line: { room, text: 'hello' } });
                if (said.kind === 'CHAT_KIND_LINE') chat.end();
            };
            const { fine, messages } = await stream('auth', `${AUTH}.UserService/Chat`, [{ join: room }], {
                token: access(data),
                hear,
                stay: true,
            });
            return fine && messages.some((said) => said.text === 'hello');
        },
    },
};

const NOWHERE = '00000000-0000-7000-8000-000000000000';

/** @type {Record<string, (data: Data) => boolean | Promise<boolean>>} */
const errors = {
    not_found: () =>
        refused(
            'not_found',
            invoke('catalog', `${CATALOG}.ProductService/GetProduct`, { productId: NOWHERE }, { expect: grpc.StatusNotFound }),
        ),
    invalid_argument: (data) => {
        const items = [{ productId: data.products[0], quantity: 0 }];
        const order = invoke(
            'orders',
            `${ORDERS}.OrderService/PlaceOrder`,
            { customer: data.login.user, items },
            { expect: grpc.StatusInvalidArgument },
        );
        return refused('invalid_argument', order);
    },
    unauthenticated: () =>
        refused(
            'unauthenticated',
            invoke('auth', `${AUTH}.AuthService/ValidateToken`, { accessToken: 'no.such.token' }, { expect: grpc.StatusUnauthenticated }),
        ),
    permission_denied: async (data) => {
        const list = stream('auth', `${AUTH}.UserService/ListUsers`, [{ limit: 1 }], {
            token: access(data),
            expect: grpc.StatusPermissionDenied,
        });
        return refused('permission_denied', await list);
    },
};

export const options = build({
    transactions: Object.keys(kinds),
    requests: ['grpc_req_duration', 'grpc_stream_duration'],
    orders: true,
    thresholds: {
        grpc_req_failed: [`rate<=${settings.maxErrors}`],
        grpc_streams: ['count>0'],
        grpc_streams_msgs_received: ['count>0'],
        grpc_streams_msgs_sent: ['count>0'],
    },
});

/** @returns {Promise<Data>} */
export async function setup() {
    const login = logIn();
    const { message: list } = invoke('catalog', `${CATALOG}.ProductService/ListProducts`, { pageSize: 100 });
    // somebody may read the picture before the first one has set it
    const parts = [{ userId: login.user.userId }, ...CHUNKS];
    const upload = await stream('auth', `${AUTH}.UserService/SetAvatar`, parts, { token: login.access });
    if (!upload.fine) throw new Error('cannot set a picture');
    return { login, products: list.products.map((/** @type {any} */ product) => product.productId) };
}

/** @param {Data} data */
export function teardown(data) {
    if (data.login.expires > Date.now()) invoke('auth', `${AUTH}.AuthService/Logout`, { accessToken: data.login.access });
    client('auth').close();
}

export const handleSummary = report('grpc');
export default turns(kinds, errors);
