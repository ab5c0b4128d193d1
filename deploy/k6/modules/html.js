// @ts-check
// Pieces of a page: text that is only text, tables, and bars drawn as SVG.

export const STYLE = `
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #1c2733; background: #fff }
h2 { margin-top: 2rem; font-size: 1.1rem } table { border-collapse: collapse } td, th { padding: .2rem .8rem .2rem 0; text-align: left }
tr + tr td { border-top: 1px solid #dde3e9 } td + td { font-variant-numeric: tabular-nums }
.good { color: #0a6b3d } .bad { color: #b3261e; font-weight: 600 } rect { fill: #3b6ea5 } text { font-size: 13px; fill: currentColor }
@media (prefers-color-scheme: dark) { body { color: #e3e8ed; background: #161b20 } tr + tr td { border-color: #323b44 } .good { color: #5fce98 } .bad { color: #ff8a80 } }`;

/** @type {Record<string, string>} */
const ENTITIES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

/** @param {unknown} text */
export const escape = (text) => String(text).replace(/[&<>"]/g, (character) => ENTITIES[character]);

/** Three digits that say something. @param {number | undefined} value */
export function number(value) {
    if (value === undefined || Number.isNaN(value)) return '-';
    return value >= 100 || Number.isInteger(value) ? String(Math.round(value)) : value.toPrecision(3);
}

/** @param {string[]} head @param {unknown[][]} rows */
export function table(head, rows) {
    const row = (/** @type {unknown[]} */ cells, /** @type {string} */ tag) =>
        `<tr>${cells.map((cell) => `<${tag}>${escape(cell)}</${tag}>`).join('')}</tr>`;
    return `<table>${head.length > 0 ? row(head, 'th') : ''}${rows.map((cells) => row(cells, 'td')).join('\n')}</table>`;
}

/** @param {{ name: string, count: number }[]} counts */
export function bars(counts) {
    const most = Math.max(1, ...counts.map(({ count }) => count));
    const bar = (/** @type {{ name: string, count: number }} */ { name, count }, /** @type {number} */ index) =>
        `<text x="0" y="${index * 24 + 16}">${escape(name)}</text><rect x="190" y="${index * 24 + 4}" height="16" width="${((count / most) * 500).toFixed(1)}"/>` +
        `<text x="${((count / most) * 500 + 198).toFixed(1)}" y="${index * 24 + 16}">${count}</text>`;
    return `<svg viewBox="0 0 780 ${counts.length * 24}" role="img" aria-label="transactions by kind" width="780">${counts.map(bar).join('\n')}</svg>`;
}
