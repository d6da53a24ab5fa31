// The command line of the benchmarks.
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { cases, SLOW_CASES } from './cases/cases.mjs';
import { contenderIds } from './contenders/contenders.mjs';

/** What `--help` prints. */
export const usage = `npm run bench -- [options] [CASE ...]

  CASE ...             only these: ${Object.keys(cases).join(', ')}
  --quick              less of everything, in two minutes; without ${SLOW_CASES.join(', ')}
  --columns ID,...     only these columns: ${contenderIds.join(', ')}
  --json FILE          writes all samples there, and the machine, after every case
  --from FILE          measures nothing; shows what --json wrote
  --readme             writes the table of a full run into the README, between its marks
  --dir DIR            measures in a new folder there (default: root gets a fresh ext4 on a loop device)
  --profile DIR        leaves a CPU profile of every daemon there`;

const split = (text) => text?.split(',').map((name) => name.trim());

function checkNames(names, allowed, what) {
  const unknown = names?.find((name) => !allowed.includes(name));
  if (unknown !== undefined) throw new Error(`there is no ${what} ${unknown}`);
}

/** Reads the arguments of the process. Throws an Error whose message says what is wrong with them. */
export function readOptions(args) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      columns: { type: 'string' },
      json: { type: 'string' },
      from: { type: 'string' },
      readme: { type: 'boolean', default: false },
      dir: { type: 'string' },
      profile: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const columns = split(values.columns);
  checkNames(positionals, Object.keys(cases), 'case');
  checkNames(columns, contenderIds, 'column');
  const isPartial = values.quick || positionals.length > 0 || columns !== undefined;
  if (values.readme && values.from === undefined && isPartial) {
    throw new Error('the README shows full runs: --readme goes with no case, --columns or --quick');
  }
  const all = Object.keys(cases).filter((name) => !values.quick || !SLOW_CASES.includes(name));
  const path = (name) => (values[name] === undefined ? undefined : resolve(values[name]));
  return {
    ...values,
    columns,
    names: positionals.length > 0 ? positionals : all,
    json: path('json'),
    from: path('from'),
    dir: path('dir'),
    profile: path('profile'),
  };
}
