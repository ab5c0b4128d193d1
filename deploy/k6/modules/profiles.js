// @ts-check
// How load changes over time. A stage is a duration and a share of the level that is asked for: of VUS virtual users, each of whom
// waits for its answer (closed loop), or where RATE is set of RATE iterations a second, whoever still waits (open loop).
import { settings } from './settings.js';

/** @typedef {{ duration: string, share: number }} Stage */

/** @returns {Stage[]} */
function stages() {
    const { profile, duration, ramp } = settings;
    const hold = (/** @type {number} */ share) => ({ duration, share });
    const reach = (/** @type {number} */ share) => ({ duration: ramp, share });
    switch (profile) {
        case 'smoke':
            return [{ duration: '0s', share: 1 }, hold(1)];
        case 'ramp':
            return [hold(1), reach(0)];
        case 'spike':
            return [reach(1), hold(1), reach(10), hold(10), reach(1), hold(1), reach(0)];
        case 'stress':
            return [reach(1), hold(1), reach(5), hold(5), reach(10), hold(10), reach(0)];
        default: // constant, mixed
            return [reach(1), hold(1), reach(0)];
    }
}

/** The scenario of the chosen profile. @returns {import('k6/options').Scenario} */
export function scenario() {
    const { rate, vus } = settings;
    const targets = (/** @type {number} */ level) => stages().map(({ duration, share }) => ({ duration, target: level * share }));
    if (rate > 0) {
        // users are taken on as answers take longer; where even ten times as many are not enough, iterations are dropped and counted
        return {
            executor: 'ramping-arrival-rate',
            timeUnit: '1s',
            preAllocatedVUs: vus,
            maxVUs: 10 * vus,
            stages: targets(rate),
            gracefulStop: '10s',
        };
    }
    return { executor: 'ramping-vus', startVUs: 0, stages: targets(vus), gracefulRampDown: '10s', gracefulStop: '10s' };
}

/** @type {Record<string, number>} */
const SECONDS = { ms: 0.001, s: 1, m: 60, h: 3600 };

/** How long all stages take together. */
export function length() {
    const parts = stages().flatMap(({ duration }) => [...duration.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)]);
    return `${Math.round(parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * SECONDS[unit], 0))}s`;
}

/** Whether answers are held to time: beyond the limit, which spike and stress look for, only to being right. */
export const isTimed = !['spike', 'stress'].includes(settings.profile);
