// What people do in a working tree, done in a mount by the programs that they use.
import { mkdirSync, writeFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createFaultProxy, type FaultProxy } from '../support/fault-proxy.ts';
import { createGitRepository, type GitRepository } from '../support/git-repository.ts';
import { toGitFiles } from '../support/mount-fixture.ts';
import { randomBytes } from '../support/random.ts';
import { runProgram, shell } from '../support/run-program.ts';
import { lowerSeed, writeSeed } from '../support/seed-tree.ts';
import { createStage, type Stage } from '../support/stage.ts';

/** Everything about files but their inode numbers; of folders not their size, which is the filesystem's business. */
const DESCRIBE = `find "$1" -mindepth 1 \\( -type f -printf '%P %y %m %U:%G %s %T@\\n' -o -printf '%P %y %m %U:%G %l %T@\\n' \\) | LC_ALL=C sort`;

const BIG_FILE = randomBytes(8 * 1024 * 1024, 32);

let stage: Stage;
let repository: GitRepository;
let proxy: FaultProxy;
/** The same tree on the local disk. */
let plain: string;
let mountpoint: string;
let mounts = 0;

const describeTree = (folder: string): Promise<string> => shell(DESCRIBE, { args: [folder] });

beforeAll(async () => {
  stage = createStage();
  repository = await createGitRepository({
    files: { ...toGitFiles(lowerSeed), 'cold/big.bin': BIG_FILE },
  });
  proxy = await createFaultProxy(await stage.serveRepository(repository.path));
  stage.configure({ base_url: proxy.url });
  await stage.serve();
});

afterAll(async () => {
  await stage?.dispose();
  await proxy?.close();
  await repository?.remove();
});

beforeEach(async () => {
  mounts++;
  mountpoint = stage.path(`mnt-${mounts}`);
  await stage.succeed('mount', `job-${mounts}`, mountpoint);
  plain = stage.path(`plain-${mounts}`);
  mkdirSync(plain);
  writeSeed(plain, lowerSeed);
  mkdirSync(`${plain}/cold`);
  writeFileSync(`${plain}/cold/big.bin`, BIG_FILE);
});

afterEach(async () => {
  await stage.succeed('umount', `job-${mounts}`);
});

const remount = async (): Promise<void> => {
  await stage.succeed('umount', `job-${mounts}`);
  await stage.succeed('mount', `job-${mounts}`, mountpoint);
};

test('git sees the same clean tree, the same edits and the same commits as in a plain folder', async () => {
  const steps = [
    'git init -q -b main && git add -A && git status --porcelain',
    'git commit -q -m first && git status --porcelain && git rev-parse HEAD',
    'echo more >> docs/a.md; chmod +x README.md; rm run.sh; git mv src lib; ln -sf docs/b.md link; echo new > new; mkdir void; git status --porcelain',
    'git diff',
    'git add -A && git commit -q -m second && git status --porcelain && git rev-parse HEAD',
    'git checkout -q HEAD~1 && git status --porcelain && cat docs/a.md && ls src',
    'git checkout -q -b topic && echo t > docs/a.md && git commit -qam t && ! git merge main && git status --porcelain',
    'git reset -q --hard main && git clean -qfdx && git gc -q && git fsck --no-dangling && git status --porcelain',
  ];
  for (const step of steps) {
    const expected = await shell(step, { cwd: plain });
    expect([step, await shell(step, { cwd: mountpoint })]).toEqual([step, expected]);
  }
  await remount();
  expect(await shell('git status --porcelain && git fsck --no-dangling', { cwd: mountpoint })).toBe('');
});

test('tar takes a mount with all contents, modes and times, and unpacks the same into it', async () => {
  const archive = stage.path(`archive-${mounts}.tar`);
  const out = stage.path(`out-${mounts}`);
  const args = [mountpoint, archive, out];
  await shell('mkdir "$3"; tar --format=posix -C "$1" -cf "$2" . && tar -C "$3" -xpf "$2"', { args });
  expect(await describeTree(out)).toBe(await describeTree(mountpoint));
  await shell('diff -r --no-dereference "$1" "$2"', { args: [plain, out] });

  await shell('touch -d "2001-02-03 04:05:06.123456789" "$3/docs" "$3/run.sh"; chmod 2750 "$3/docs"', {
    args,
  });
  await shell('tar --format=posix -C "$3" -cf "$2" . && mkdir "$1/in" && tar -C "$1/in" -xpf "$2"', { args });
  expect(await describeTree(`${mountpoint}/in`)).toBe(await describeTree(out));
  // Over what is there, replacing every file.
  await shell('tar -C "$1" -xpf "$2"', { args });
  await remount();
  await shell('rm -r "$1/in"', { args });
  expect(await describeTree(mountpoint)).toBe(await describeTree(out));
  await shell('diff -r --no-dereference "$1" "$3"', { args });
});

test('everything is removed, made again, and is there after a new mount', async () => {
  await shell('find . -mindepth 1 -maxdepth 1 -exec rm -rf {} +', { cwd: mountpoint });
  expect(await shell('ls -A', { cwd: mountpoint })).toBe('');
  await remount();
  expect(await shell('ls -A', { cwd: mountpoint })).toBe('');
  await shell('cp -a "$1/." .', { cwd: mountpoint, args: [plain] });
  expect(await describeTree(mountpoint)).toBe(await describeTree(plain));
  await shell('rm -rf docs many && mkdir docs && echo one > docs/one', { cwd: mountpoint });
  await remount();
  expect(await shell('find docs many -type f 2>/dev/null || true', { cwd: mountpoint })).toBe('docs/one');
  await shell('rm -rf docs && cp -a "$1/docs" "$1/many" .', { cwd: mountpoint, args: [plain] });
  expect(await describeTree(mountpoint)).toBe(await describeTree(plain));
});

test('cp -a copies within a mount, out of it and into it, hard links and sparse files included', async () => {
  await shell('cp -a docs copy && cp -a odd src copy', { cwd: mountpoint });
  expect(await describeTree(`${mountpoint}/copy/odd`)).toBe(await describeTree(`${mountpoint}/odd`));
  const out = stage.path(`out-${mounts}`);
  await shell('cp -a "$1" "$2"', { args: [mountpoint, out] });
  expect(await describeTree(out)).toBe(await describeTree(mountpoint));
  await shell('mkdir x; echo 1 > x/a; ln x/a x/b; truncate -s 30M x/hole; echo end >> x/hole', { cwd: out });
  await shell('cp -a "$1/x" .', { cwd: mountpoint, args: [out] });
  expect(
    await shell('stat -c %h x/a; [ x/a -ef x/b ] && cmp x/hole "$1/x/hole" && du -m x/hole | cut -f1', {
      cwd: mountpoint,
      args: [out],
    }),
  ).toMatch(/^2\n[01]$/);
});

test('a SQLite database in WAL mode serves two processes at once', async () => {
  const program = `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
mode, = db.execute('pragma journal_mode').fetchone()
for n in range(150):
    db.execute('begin immediate')
    db.execute('insert into t values (?, ?)', (sys.argv[2], n))
    db.execute('commit')
    seen, = db.execute('select count(*) from t where who = ?', (sys.argv[2],)).fetchone()
    assert seen == n + 1, seen
print(mode)`;
  const database = `${mountpoint}/docs/data.sqlite`;
  const make = `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute('pragma journal_mode=wal')
db.execute('create table t (who text, n integer)')`;
  await runProgram('python3', ['-c', make, database]);
  const runs = await Promise.all(
    ['one', 'two'].map((who) => runProgram('python3', ['-c', program, database, who])),
  );
  expect(runs).toEqual(Array(2).fill({ code: 0, stdout: 'wal\n', stderr: '' }));
  await remount();
  const check = `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
print(db.execute('pragma integrity_check').fetchall(), db.execute('select who, count(*), sum(n) from t group by who').fetchall())`;
  const { stdout } = await runProgram('python3', ['-c', check, database]);
  expect(stdout).toBe("[('ok',)] [('one', 150, 11175), ('two', 150, 11175)]\n");
});

test('what one process writes to a shared mapping another one reads, and the other way round', async () => {
  const program = `
import mmap, os, subprocess, sys
path = sys.argv[1]
other = lambda code: subprocess.run([sys.executable, '-c', 'import os, sys; ' + code, path], check=True, capture_output=True).stdout
fd = os.open(path, os.O_RDWR)
with mmap.mmap(fd, 0) as mapping:
    mapping[5_000_000:5_000_006] = b'MAPPED'
    print(other('f = open(sys.argv[1], "rb"); f.seek(5_000_000); sys.stdout.buffer.write(f.read(6))').decode())
    other('f = os.open(sys.argv[1], os.O_WRONLY); os.pwrite(f, b"WRITTEN", 6_000_000)')
    print(mapping[6_000_000:6_000_007].decode())
print(os.stat(path).st_size)`;
  const { stdout, stderr } = await runProgram('python3', ['-c', program, `${mountpoint}/cold/big.bin`]);
  expect([stdout, stderr]).toEqual([`MAPPED\nWRITTEN\n${BIG_FILE.length}\n`, '']);
  const expected = Buffer.from(BIG_FILE);
  expected.write('MAPPED', 5_000_000);
  expected.write('WRITTEN', 6_000_000);
  writeFileSync(`${plain}/cold/big.bin`, expected);
  await remount();
  await shell('cmp "$1/cold/big.bin" "$2/cold/big.bin"', { args: [plain, mountpoint] });
});

test('processes that append, lock, and make and remove the same names do not disturb each other', async () => {
  const append = 'for n in $(seq 100); do echo "$1 $n" >> README.md; done';
  const count =
    "for n in $(seq 40); do flock docs/a.md sh -c 'read n < counter; echo $((n + 1)) > counter'; done";
  const swap = 'for n in $(seq 60); do echo "$1" > "new-$1"; mv "new-$1" docs/b.md; done';
  const claim = 'for n in $(seq 30); do mkdir "lock-$n" 2>/dev/null && echo "$n" >> claimed; done; true';
  await shell('echo 0 > counter', { cwd: mountpoint });
  await Promise.all(
    [append, count, swap, claim].flatMap((script) =>
      ['one', 'two', 'three'].map((who) => shell(script, { cwd: mountpoint, args: [who] })),
    ),
  );
  await remount();
  const numbers = Array.from({ length: 100 }, (_, index) => String(index + 1));
  for (const who of ['one', 'two', 'three']) {
    const mine = await shell('grep "^$1 " README.md | cut -d " " -f 2', { cwd: mountpoint, args: [who] });
    expect(mine.split('\n')).toEqual(numbers);
  }
  expect(await shell('head -n 1 README.md; wc -l < README.md; cat counter', { cwd: mountpoint })).toBe(
    'hello, lower\n301\n120',
  );
  expect(await shell('cat docs/b.md; ls | grep new- || true', { cwd: mountpoint })).toMatch(
    /^(one|two|three)$/,
  );
  expect(
    await shell('sort -n claimed | uniq -c | wc -l; ls -d lock-* | wc -l; wc -l < claimed', {
      cwd: mountpoint,
    }),
  ).toBe('30\n30\n30');
});

test('programs run from a mount: scripts, executables and what they map', async () => {
  expect(await shell('./run.sh', { cwd: mountpoint })).toBe('run');
  expect(
    await runProgram('./README.md', [], { cwd: mountpoint }).catch((error: Error) => error.message),
  ).toContain('EACCES');
  await shell('cp "$(command -v python3)" python; sed -i s/run/walk/ run.sh; printf x >> big.bin', {
    cwd: mountpoint,
  });
  expect(await shell('./python -c "print(6 * 7)"; ./run.sh; wc -c < big.bin', { cwd: mountpoint })).toBe(
    '42\nwalk\n300001',
  );
  // Whether somebody may write to what is running depends on the kernel.
  await shell('cp python "$1"', { cwd: mountpoint, args: [plain] });
  const script =
    './python -c "import time; print(1, flush=True); time.sleep(50)" > out & until [ -s out ]; do :; done; { echo x >> python; } 2>&1 && echo done; kill $!';
  const expected = await shell(script, { cwd: plain });
  expect(await shell(script, { cwd: mountpoint })).toBe(expected);
});

describe('a file that nobody has read yet', () => {
  test('is fetched once for 32 processes that read it at the same time, through two mounts', async () => {
    const content = randomBytes(3_000_000, 33);
    await repository.commit({ 'cold/shared.bin': content });
    const oid = await repository.git(['rev-parse', 'HEAD:cold/shared.bin']);
    const points = [stage.path('cold-1'), stage.path('cold-2')];
    for (const [index, point] of points.entries()) {
      await stage.succeed('mount', `cold-${index}`, point, '--path', '/cold');
      await shell('ls -l "$1"', { args: [point] });
    }
    writeFileSync(stage.path('expected'), content);
    proxy.reset();
    // So that all have asked before it arrives.
    proxy.latencyMs = 500;
    const readers = Array.from({ length: 32 }, (_, index) =>
      runProgram('cmp', [`${points[index % 2]}/shared.bin`, stage.path('expected')]),
    );
    const ended = await Promise.all(readers).finally(() => {
      proxy.latencyMs = 0;
    });
    expect(ended).toEqual(Array(32).fill({ code: 0, stdout: '', stderr: '' }));
    expect(proxy.requests.map(({ method, url }) => [method, url])).toEqual([
      ['GET', expect.stringContaining(oid)],
    ]);
    for (const index of points.keys()) await stage.succeed('umount', `cold-${index}`);
  });
});
