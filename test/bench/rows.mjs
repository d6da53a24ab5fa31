// Rows of the result: samples of what Scorpio took, samples of what it is compared with, and the ratio of the medians.

/** The middle of the samples. */
export function median(samples) {
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * A row. `scorpio` and `baseline` are samples in `unit` (`ms` or `bytes`), lower is better; `against` says what the
 * baseline is. A row without a baseline has no ratio.
 */
export function row(what, scorpio, against = '', baseline = [], unit = 'ms') {
  const ratio = baseline.length === 0 ? undefined : median(scorpio) / median(baseline);
  return { what, unit, scorpio, against, baseline, ratio };
}

const amount = (value, unit) => {
  if (unit === 'bytes') return `${(value / 1e6).toFixed(1)} MB`;
  if (value >= 1000) return `${(value / 1000).toFixed(2)} s`;
  return `${value.toFixed(value < 10 ? 2 : 0)} ms`;
};

/** Median and spread as text: half the range of the samples, in percent of the median. */
function shown(samples, unit) {
  if (samples.length === 0) return '';
  const middle = median(samples);
  const spread = ((Math.max(...samples) - Math.min(...samples)) / 2 / middle) * 100;
  return `${amount(middle, unit)}${samples.length > 1 ? ` ±${spread.toFixed(0)}%` : ''}`;
}

function lay(cells, widths) {
  return cells
    .map((cell, at) => (at === 1 || at > 2 ? cell.padStart(widths[at]) : cell.padEnd(widths[at])))
    .join('  ')
    .trimEnd();
}

/** The rows as a table for the terminal, with the names of the cases as headings. */
export function renderTable(rows) {
  const header = ['', 'Scorpio', 'against', 'which took', 'ratio'];
  const lines = rows.map((entry) => [
    `  ${entry.what}`,
    shown(entry.scorpio, entry.unit),
    entry.against,
    shown(entry.baseline, entry.unit),
    entry.ratio === undefined ? '' : `${entry.ratio.toFixed(2)}x`,
  ]);
  const widths = header.map((title, at) => Math.max(title.length, ...lines.map((cells) => cells[at].length)));
  const table = [lay(header, widths)];
  for (const [index, cells] of lines.entries()) {
    if (rows[index].case !== rows[index - 1]?.case) table.push(rows[index].case);
    table.push(lay(cells, widths));
  }
  return table.join('\n');
}
