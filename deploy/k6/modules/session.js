// @ts-check
// Who is calling. One login for all in the beginning; a token lasts 15 minutes, so each virtual user has a session of its own
// by and by, at a time of its own, so that they do not all log in at once.
import { call } from './gateway.js';
import { settings } from './settings.js';

/**
 * @typedef {object} Session
 * @property {string} access
 * @property {string} refresh
 * @property {string} sessionId
 * @property {{ user_id: string, username: string, email: string }} user
 * @property {number} expires milliseconds since 1970
 * @property {number} lifetime milliseconds
 */

/** @typedef {'demo' | 'admin'} Role */
/** @typedef {{ sessions: Record<Role, Session> }} Sessions */

/** @param {any} answer @returns {Session} */
function session(answer) {
    const lifetime = answer.expires_in * 1000;
    const { access_token, refresh_token, session_id, user } = answer;
    return { access: access_token, refresh: refresh_token, sessionId: session_id, user, expires: Date.now() + lifetime, lifetime };
}

/** @param {{ email: string, password: string }} who @returns {Session} */
export function logIn(who) {
    const answer = call('POST', '/auth/login', '/auth/login', { body: { email: who.email, password: who.password } });
    if (!answer.fine) throw new Error(`cannot log in as ${who.email} at ${settings.baseUrl}: ${answer.status}`);
    return session(answer.body);
}

/** A session's next tokens; the ones of before serve no more. @param {Session} current @returns {Session} */
export function renew(current) {
    const answer = call('POST', '/auth/refresh', '/auth/refresh', { body: { refresh_token: current.refresh } });
    if (!answer.fine) throw new Error(`cannot renew a session: ${answer.status}`);
    return session(answer.body);
}

/** @param {Session} ended */
export const logOut = (ended) => call('POST', '/auth/logout', '/auth/logout', { token: ended.access, expect: [204] }).fine;

/** For `setup`. @returns {Sessions} */
export const openSessions = () => ({ sessions: { demo: logIn(settings.demo), admin: logIn(settings.admin) } });

/** For `teardown`: sessions that nobody uses would last for a week. @param {Sessions} data */
export function closeSessions(data) {
    for (const shared of Object.values(data.sessions)) {
        if (shared.expires > Date.now()) logOut(shared);
    }
}

/** This virtual user's own. @type {Partial<Record<Role, Session>>} */
const own = {};
/** When this one renews: between half and nine tenths of a token's life. */
const patience = 0.5 + 0.4 * Math.random();

/** Whether a token need not be renewed yet by this virtual user. @param {{ expires: number, lifetime: number }} current */
export const isFresh = (current) => current.expires - Date.now() > (1 - patience) * current.lifetime;

/**
 * A token that lasts for a while yet.
 * @param {Sessions} data what `setup` returned
 * @param {Role} role
 */
export function token(data, role) {
    const mine = own[role];
    const current = mine || data.sessions[role];
    if (isFresh(current)) return current.access;
    // a refresh token serves once, so the shared one is nobody's
    const next = mine && mine.expires > Date.now() ? renew(mine) : logIn(settings[role]);
    own[role] = next;
    return next.access;
}
