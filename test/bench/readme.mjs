// The README's table: the rows that are marked for it, between two marks, and the machine that they come from.
import { readFileSync, writeFileSync } from 'node:fs';
import { cellOf, mark } from './cells.mjs';
import { describeTarget } from './targets.mjs';

const BEGIN = '<!-- bench:begin -->';
const END = '<!-- bench:end -->';

function showCell(entry, column) {
  const { amount, ratio, met } = cellOf(entry, column);
  const emphasis = column.id === 'scorpio' && amount !== '' ? '**' : '';
  const number = ratio === '' ? amount : ratio;
  return [`${emphasis}${number}${emphasis}`, mark(met)].filter(Boolean).join(' ');
}

/** The marked rows as Markdown: ratios where there are any, else amounts; the local disk's column has the amounts. */
export function renderMarkdown({ environment, columns, rows }) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  const { date, commit, kernel, cores, processor, node, disk } = environment;
  return [
    line(['what', ...columns.map(({ title }) => title), 'target']),
    line(['---', ...columns.map(() => '--:'), '---']),
    ...rows
      .filter(({ readme }) => readme)
      .map((entry) =>
        line([
          entry.what,
          ...columns.map((column) => showCell(entry, column)),
          describeTarget(entry).replace('<', '&lt;').replace('>', '&gt;'),
        ]),
      ),
    '',
    `Commit ${commit}, ${date.slice(0, 10)}: Linux ${kernel}, ${cores} cores (${processor}), Node ${node}, ${disk}.`,
  ].join('\n');
}

/** Puts the table of a result into a file, between its marks. Throws where they are missing. */
export function writeMarkdown(file, result) {
  const text = readFileSync(file, 'utf8');
  const begin = text.indexOf(BEGIN);
  const end = text.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`${file} has no ${BEGIN} and ${END} to write between`);
  const before = text.slice(0, begin + BEGIN.length);
  writeFileSync(file, `${before}\n${renderMarkdown(result)}\n${text.slice(end)}`);
}
