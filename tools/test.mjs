// `npm test`: installs what is missing, checks, runs all tests, and closes with one line `N passed, N failed`.
//
//   npm test                       everything
//   npm test -- --project unit     arguments go to vitest; the checks and the second pass are left out then
//
// The mounted tests run a second time over fuse-native, and as root a third time as an ordinary user, through
// fusermount3.
import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { check } from './check.mjs';
import { prepare, root } from './prepare.mjs';

/** After this the run is ended, whatever hangs: an idle machine needs a third of it. */
const DEADLINE_MS = Number(process.env.SCORPIO_TEST_DEADLINE_S ?? 2400) * 1000;
/** Debian's user `nobody`. */
const ORDINARY_UID = 65534;

const temporary = mkdtempSync(join(tmpdir(), 'scorpio-npm-test-'));
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
function vitest(name, args, options = {}) {
  const { command = [process.execPath], env = {}, report = join(temporary, `${name}.json`) } = options;
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
      cwd: root,
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

/**
 * Runs the mounted tests as an ordinary user, in a mount namespace of its own: there the checkout is found where that
 * user can go, and /dev/fuse may be opened by everybody, as it is on most machines.
 */
function asOrdinaryUser() {
  const view = join(temporary, 'checkout');
  const home = join(temporary, 'home');
  const device = join(temporary, 'fuse');
  for (const folder of [view, home]) mkdirSync(folder);
  chmodSync(temporary, 0o755);
  chownSync(home, ORDINARY_UID, ORDINARY_UID);
  const script = [
    'mount --bind "$CHECKOUT" "$VIEW"',
    'mknod -m 666 "$DEVICE" c 10 229',
    'mount --bind "$DEVICE" /dev/fuse',
    'cd "$VIEW"',
    `exec setpriv --reuid=${ORDINARY_UID} --regid=${ORDINARY_UID} --clear-groups "$@"`,
  ].join(' && ');
  return vitest('ordinary-user', ['--project', 'mounted', '--configLoader=runner'], {
    command: ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, 'sh', process.execPath],
    report: join(home, 'report.json'),
    env: {
      CHECKOUT: root,
      VIEW: view,
      DEVICE: device,
      HOME: home,
      USER: 'nobody',
      SCORPIO_VITEST_CACHE: join(home, 'vite'),
      XDG_DATA_HOME: '',
      XDG_CONFIG_HOME: '',
    },
  });
}

/** Runs the mounted tests over the other binding; what it cannot do is skipped by the name of the limit. */
function overFuseNative() {
  return vitest('fuse-native', ['--project', 'mounted'], { env: { SCORPIO_TEST_BINDING: 'fuse-native' } });
}

/** Mounts and temporary folders that tests make, as they are now. */
function leftovers() {
  const isOurs = (text) => text.includes('/scorpio-') && !text.includes(temporary);
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n').filter(isOurs);
  const folders = readdirSync(tmpdir()).map((name) => join(tmpdir(), name));
  return [...mounts, ...folders.filter(isOurs)];
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
  good = (await overFuseNative()) && good;
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
