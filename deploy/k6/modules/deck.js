// @ts-check
// Who does what: kinds of transactions in exact shares, and error cases among them in exact shares.
import exec from 'k6/execution';
import { sleep } from 'k6';
import { transact } from './business.js';
import { settings } from './settings.js';

/**
 * A kind of transaction: its weight among others, and what it does.
 * @template Data
 * @typedef {{ weight: number, act: (data: Data) => boolean | Promise<boolean> }} Kind
 */

/** One of each kind, then the rest as far apart as they go: the most delayed one is next. @param {[string, { weight: number }][]} kinds */
export function cards(kinds) {
    const total = kinds.reduce((sum, [, kind]) => sum + kind.weight, 0);
    const dealt = kinds.map(() => 1);
    const deck = kinds.map(([name]) => name);
    while (deck.length < total) {
        const delays = kinds.map(([, kind], index) => (kind.weight * (deck.length + 1)) / total - dealt[index]);
        const next = delays.indexOf(Math.max(...delays));
        dealt[next] += 1;
        deck.push(kinds[next][0]);
    }
    return deck;
}

/**
 * The function that a virtual user repeats.
 * @template Data
 * @param {Record<string, Kind<Data>>} kinds
 * @param {Record<string, (data: Data) => boolean | Promise<boolean>>} errors what has to be refused, in the profile mixed
 */
export function turns(kinds, errors) {
    const deck = cards(Object.entries(kinds));
    const refusals = Object.keys(errors);
    return async (/** @type {Data} */ data) => {
        const turn = exec.scenario.iterationInTest;
        const before = Math.floor(turn * settings.errorRatio);
        if (Math.floor((turn + 1) * settings.errorRatio) > before) {
            const name = refusals[before % refusals.length];
            await transact('refused', () => errors[name](data));
        } else {
            const name = deck[(turn - before) % deck.length];
            await transact(name, () => kinds[name].act(data));
        }
        // half to one and a half times as long as asked for, so that users do not march in step
        if (settings.thinkTime > 0) sleep(settings.thinkTime * (0.5 + Math.random()));
    };
}
