// The result as a table for the terminal, and the samples behind it.
import { cellOf, mark } from './cells.mjs';
import { describeTarget } from './targets.mjs';

function lay(cells, widths) {
  return cells
    .map((cell, at) => (at === 0 ? cell.padEnd(widths[at]) : cell.padStart(widths[at])))
    .join('  ')
    .trimEnd();
}

function showCell(entry, column) {
  const { amount, ratio, met } = cellOf(entry, column);
  // The place of the sign stays when there is none, so that the numbers stand below each other.
  return `${[amount, ratio].filter(Boolean).join(' ')} ${mark(met) || ' '}`;
}

/** The rows as a table, with the names of the cases as headings. */
export function renderTable({ columns, rows }) {
  const header = ['', ...columns.map(({ title }) => `${title}  `), 'target'];
  const lines = rows.map((entry) => [
    `  ${entry.what}`,
    ...columns.map((column) => showCell(entry, column)),
    describeTarget(entry),
  ]);
  const widths = header.map((title, at) => Math.max(title.length, ...lines.map((cells) => cells[at].length)));
  const table = [lay(header, widths)];
  for (const [index, cells] of lines.entries()) {
    if (rows[index].case !== rows[index - 1]?.case) table.push(rows[index].case);
    table.push(lay(cells, widths));
  }
  return table.join('\n');
}

const rounded = (samples) => samples.map((sample) => Math.round(sample * 10) / 10).join(' ');

/** All samples, a line for each row and contender, and why some are missing. */
export function renderSamples({ columns, rows }) {
  return rows
    .flatMap((entry) => [
      `  ${entry.what}`,
      ...columns
        .filter(({ id }) => entry.samples[id] !== undefined)
        .map(({ id }) => `    ${id}: ${rounded(entry.samples[id])}`),
      ...Object.entries(entry.failures).map(([id, text]) => `    ${id} failed: ${text.split('\n', 1)[0]}`),
    ])
    .join('\n');
}
