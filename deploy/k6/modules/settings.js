// @ts-check
// What can be set: from the environment (`k6 run -e NAME=VALUE`, or variables of a container), over what MESH_STATUS says, over
// defaults. All mistakes are told at once.

export const PROFILES = ['smoke', 'constant', 'ramp', 'spike', 'stress', 'mixed'];

const DURATION = /^(\d+(\.\d+)?(ms|s|m|h))+$/;

/** @type {string[]} */
const problems = [];

/**
 * What `./mesh status --json` printed.
 * @typedef {{ email: string, password: string }} Login
 * @typedef {{ name: string, grpc?: string }} Service
 * @typedef {{ endpoints?: { gateway?: string }, services?: Service[], demo?: Login, admin?: Login }} Status
 */

/** @returns {Status} */
function status() {
    const path = __ENV.MESH_STATUS;
    if (!path) return {};
    try {
        return JSON.parse(open(path));
    } catch (error) {
        problems.push(`MESH_STATUS: cannot read ${path} (${error}); allowed: an absolute path to what \`./mesh status --json\` printed`);
        return {};
    }
}

/**
 * @param {string} name
 * @param {string | undefined} fallback
 * @param {string} allowed
 * @param {(value: string) => boolean} fits
 */
function text(name, fallback, allowed, fits) {
    const value = __ENV[name] || fallback || '';
    if (!fits(value)) problems.push(`${name}: ${value === '' ? 'is missing' : `\`${value}\``}; allowed: ${allowed}`);
    return value;
}

/**
 * @param {string} name
 * @param {number} fallback
 * @param {number} least
 * @param {number} most
 * @param {boolean} [whole]
 */
function number(name, fallback, least, most, whole = false) {
    const kind = `${whole ? 'a whole number' : 'a number'} from ${least} to ${most}`;
    const fits = (/** @type {string} */ value) => {
        const read = Number(value);
        return value.trim() !== '' && read >= least && read <= most && (!whole || Number.isInteger(read));
    };
    return Number(text(name, String(fallback), kind, fits));
}

const isUrl = (/** @type {string} */ value) => /^https?:\/\/[^/\s]+(:\d+)?\/?$/.test(value);
const isSet = (/** @type {string} */ value) => value !== '';
const url = (/** @type {string} */ name, /** @type {string} */ fallback) =>
    text(name, fallback, 'http://HOST:PORT or https://HOST:PORT', isUrl).replace(/\/$/, '');
const duration = (/** @type {string} */ name, /** @type {string} */ fallback) =>
    text(name, fallback, 'a duration such as 90s, 10m or 1m30s', (value) => DURATION.test(value));

const mesh = status();
const grpc = (/** @type {string} */ name, /** @type {string} */ fallback) =>
    (mesh.services || []).find((service) => service.name === name)?.grpc || fallback;
/** @param {string} prefix @param {Login | undefined} login @param {string} email @returns {Login} */
const login = (prefix, login, email) => ({
    email: text(`${prefix}EMAIL`, login?.email || email, 'an e-mail address', isSet),
    password: text(`${prefix}PASSWORD`, login?.password, 'the password, or MESH_STATUS, which has it', isSet),
});

const profile = text('PROFILE', 'smoke', PROFILES.join(', '), (value) => PROFILES.includes(value));

/** How long and how many, where nothing is said. */
const DEFAULTS = /** @type {Record<string, { vus: number, duration: string, ramp: string, think: number }>} */ ({
    smoke: { vus: 2, duration: '5s', ramp: '1s', think: 0 },
    constant: { vus: 100, duration: '10m', ramp: '5m', think: 1 },
    ramp: { vus: 100, duration: '10m', ramp: '1m', think: 1 },
    spike: { vus: 100, duration: '1m', ramp: '10s', think: 1 },
    stress: { vus: 100, duration: '5m', ramp: '1m', think: 1 },
    mixed: { vus: 100, duration: '10m', ramp: '5m', think: 1 },
});
const defaults = DEFAULTS[profile] || DEFAULTS.smoke;

export const settings = {
    profile,
    baseUrl: url('BASE_URL', mesh.endpoints?.gateway || 'http://127.0.0.1:8080'),
    grpc: {
        auth: url('AUTH_GRPC', grpc('auth', 'http://127.0.0.1:50051')),
        catalog: url('CATALOG_GRPC', grpc('catalog-cache', 'http://127.0.0.1:50052')),
        orders: url('ORDERS_GRPC', grpc('orders', 'http://127.0.0.1:50053')),
    },
    demo: login('', mesh.demo, 'demo@throughline.test'),
    admin: login('ADMIN_', mesh.admin, 'admin@throughline.test'),
    vus: number('VUS', defaults.vus, 1, 100000, true),
    rate: number('RATE', 0, 0, 1000000, true),
    duration: duration('DURATION', defaults.duration),
    ramp: duration('RAMP', defaults.ramp),
    thinkTime: number('THINK_TIME', defaults.think, 0, 3600),
    errorRatio: profile === 'mixed' ? number('ERROR_RATIO', 0.1, 0, 1) : 0,
    p95: number('P95_MS', 500, 1, 3600000),
    p99: number('P99_MS', 1000, 1, 3600000),
    maxErrors: number('MAX_ERRORS', 0.01, 0, 1),
    slow: number('SLOW_MS', 1000, 1, 3600000),
    reports: text('REPORT_DIR', '.', 'a folder that is there', isSet).replace(/\/$/, ''),
};

if (problems.length > 0) {
    throw new Error(`wrong settings:\n  ${problems.join('\n  ')}`);
}
