// `npm test`: installs what is missing, checks, runs all tests, and closes with one line `N passed, N failed`.
//
//   npm test                       everything
//   npm test -- --project unit     arguments go to vitest; the checks and the second pass are left out then
//
// As root the mounted tests run a second time as an ordinary user, through fusermount3.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { check } from './check.mjs';
import { prepare, root } from './prepare.mjs';

/** After this the run is ended, whatever hangs. */
const DEADLINE_MS = Number(process.env.SCORPIO_TEST_DEADLINE_S ?? 1140) * 1000;
/** Debian's user `nobody`. */
const ORDINARY_UID = 65534;

const temporary = mkdtempSync(join(tmpdir(), 'scorpio-test-run-'));
const totals = { passed: 0, failed: 0, skipped: 0 };

/** Ends what hangs on a mount: every request of a FUSE connection that this run made then fails. */
function abortMounts() {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  for (const line of mounts.filter(
    (text) => text.includes(' fuse.scorpio ') && text.includes('scorpio-test-'),
  )) {
    const [, , device, , mountpoint] = line.split(' ');
    try {
      writeFileSync(`/sys/fs/fuse/connections/${device.split(':')[1]}/abort`, '1');
    } catch {
      // Not ours to abort, or gone already.
    }
    spawnSync('umount', ['-l', mountpoint], { stdio: 'ignore' });
    spawnSync('fusermount3', ['-uz', mountpoint], { stdio: 'ignore' });
  }
}

/** Runs vitest; adds its numbers to the totals. Resolves with whether it ended well. */
function vitest(name, args, { command = [process.execPath], env = {}, cwd = root } = {}) {
  const report = join(temporary, `${name}.json`);
  const [program, ...first] = command;
  const all = [
    ...first,
    'node_modules/vitest/vitest.mjs',
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...args,
  ];
  return new Promise((resolve) => {
    const child = spawn(program, all, {
      cwd,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, ...(process.stdout.isTTY ? {} : { NO_COLOR: '1' }), ...env },
    });
    const timer = setTimeout(
      () => {
        console.error(`the tests did not end within ${DEADLINE_MS / 1000} s: aborting`);
        abortMounts();
        child.kill('SIGKILL');
      },
      Math.max(0, DEADLINE_MS - performance.now()),
    );
    child.on('close', (code) => {
      clearTimeout(timer);
      let result;
      try {
        result = JSON.parse(readFileSync(report, 'utf8'));
      } catch {
        result = { numPassedTests: 0, numFailedTests: 0, numPendingTests: 0, numFailedTestSuites: 1 };
      }
      totals.passed += result.numPassedTests;
      totals.skipped += result.numPendingTests + (result.numTodoTests ?? 0);
      // A file that could not even be loaded counts as one failure.
      const failed = result.numFailedTests;
      totals.failed += failed > 0 || code === 0 ? failed : 1;
      resolve(code === 0);
    });
  });
}

/** Runs the mounted tests as an ordinary user; the checkout may lie where that user cannot go. */
async function asOrdinaryUser() {
  const view = join(temporary, 'checkout');
  const home = join(temporary, 'home');
  const asUser = ['setpriv', `--reuid=${ORDINARY_UID}`, `--regid=${ORDINARY_UID}`, '--clear-groups'];
  spawnSync('mkdir', ['-p', view, home]);
  spawnSync('chmod', ['755', temporary]);
  spawnSync('chown', [`${ORDINARY_UID}:${ORDINARY_UID}`, home, temporary]);
  if (spawnSync('mount', ['--bind', root, view]).status !== 0) {
    console.error('cannot bind-mount the checkout: the pass as an ordinary user is left out');
    totals.failed += 1;
    return false;
  }
  try {
    return await vitest('ordinary-user', ['--project', 'mounted'], {
      command: [...asUser, process.execPath],
      cwd: view,
      env: {
        HOME: home,
        USER: 'nobody',
        SCORPIO_VITEST_CACHE: join(home, 'vite'),
        XDG_DATA_HOME: '',
        XDG_CONFIG_HOME: '',
      },
    });
  } finally {
    spawnSync('umount', [view]);
  }
}

/** Fails the run when it leaves a mount or a temporary folder behind. */
function leftovers() {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes('scorpio-test-') && !line.includes(temporary));
  const folders = readdirSync(tmpdir()).filter(
    (name) => name.startsWith('scorpio-test-') && join(tmpdir(), name) !== temporary,
  );
  return [...mounts, ...folders];
}

const extra = process.argv.slice(2);
prepare();
let good = true;
if (extra.length > 0) {
  good = await vitest('selection', extra);
} else {
  const before = new Set(leftovers());
  check();
  good = await vitest('all', []);
  if (process.getuid() === 0) good = (await asOrdinaryUser()) && good;
  const left = leftovers().filter((item) => !before.has(item));
  if (left.length > 0) {
    console.error(`the tests left behind:\n  ${left.join('\n  ')}`);
    totals.failed += 1;
    good = false;
  }
}
rmSync(temporary, { recursive: true, force: true });
const skipped = totals.skipped > 0 ? `, ${totals.skipped} skipped` : '';
console.log(`${totals.passed} passed, ${totals.failed} failed${skipped}`);
process.exit(good && totals.failed === 0 && totals.passed > 0 ? 0 : 1);
