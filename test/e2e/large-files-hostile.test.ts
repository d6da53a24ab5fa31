// Large files under hostile conditions: bytes that changed on the disk, a store that is too small, a server that is silent.
import { closeSync, ftruncateSync, mkdirSync, openSync, readdirSync, readSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { lfsObjectPath, lfsOid, lfsPointer, noise, storeLfsObject } from '../support/lfs-repository.ts';
import { shell } from '../support/run-program.ts';
import { useServedStage } from '../support/served-stage.ts';
import type { Stage } from '../support/stage.ts';

const MIB = 1024 * 1024;
const FILES = Array.from({ length: 3 }, (_none, nth) => noise(24 * MIB, `hostile ${nth}`));
const [BIG = Buffer.alloc(0)] = FILES;
/** Nobody reads them: their content is not what their names say. */
const SILENT = Array.from({ length: 200 }, (_none, nth) => lfsOid(`silent ${nth}`));
const SILENT_BYTES = 4 * MIB;
const OBJECT = { path: /\/objects\/[0-9a-f]{64}/u };

const served = useServedStage({
  '.gitattributes': '*.bin filter=lfs diff=lfs merge=lfs -text\n',
  ...Object.fromEntries(FILES.map((file, nth) => [`big-${nth}.bin`, lfsPointer(lfsOid(file), file.length)])),
  ...Object.fromEntries(SILENT.map((oid, nth) => [`silent/${nth}.bin`, lfsPointer(oid, SILENT_BYTES)])),
  'notes.txt': 'small\n',
});

let stage: Stage;
let point: string;

beforeAll(() => {
  const root = join(served.repository.path, 'lfs');
  for (const file of FILES) storeLfsObject(root, file);
  for (const oid of SILENT) {
    const path = lfsObjectPath(root, oid);
    mkdirSync(dirname(path), { recursive: true });
    const fd = openSync(path, 'w');
    ftruncateSync(fd, SILENT_BYTES);
    closeSync(fd);
  }
});
beforeEach(() => {
  stage = served.stage;
  point = stage.path('mnt');
});

const inMount = (script: string): Promise<string> => shell(script, { cwd: point });
const python = (script: string): Promise<string> => inMount(`timeout 60 python3 - <<'END'\n${script}\nEND`);

async function mount(keys: Record<string, string> = {}): Promise<number> {
  stage.configure({ base_url: served.proxy.url, ...keys });
  await stage.succeed('mount', '/', point);
  served.proxy.reset();
  return stage.daemonPids()[0] ?? 0;
}

function flip(path: string, position: number): void {
  const fd = openSync(path, 'r+');
  const byte = Buffer.alloc(1);
  readSync(fd, byte, 0, 1, position);
  writeSync(fd, Buffer.from([(byte[0] ?? 0) ^ 0xff]), 0, 1, position);
  closeSync(fd);
}

test('bytes that changed on the disk while a file was arriving are right in the end, for every kind of reader', async () => {
  const pid = await mount();
  served.proxy.inject({ kind: 'stall', afterBytes: 12 * MIB }, OBJECT);
  const reading = inMount('cat big-0.bin | wc -c').catch(() => undefined);
  await vi.waitFor(() => expect(served.proxy.bytes).toBeGreaterThan(11 * MIB), { timeout: 20_000 });
  await sleep(400);
  await stage.end(pid, 'SIGKILL');
  await reading;
  served.proxy.heal();
  flip(stage.path('store/lfs/incomplete', lfsOid(BIG), 'data'), 5000);
  await stage.serve();
  await vi.waitFor(() => inMount('stat big-0.bin'), { timeout: 20_000, interval: 100 });
  served.proxy.inject({ kind: 'drip', bytes: 262_144, everyMs: 20 }, OBJECT);
  const seen = await python(`
import mmap, os, time
right = ${BIG[5000]}
def by_read(fd): return os.pread(fd, 1, 5000)[0]
def by_map(fd):
    with mmap.mmap(fd, 8192, mmap.MAP_SHARED, mmap.PROT_READ) as m: return m[5000]
held = os.open('big-0.bin', os.O_RDONLY)
first = by_read(held)
failed = 0
end = time.time() + 40
while time.time() < end:
    try:
        fd = os.open('big-0.bin', os.O_RDONLY)
        try: now = by_read(fd)
        finally: os.close(fd)
        if now == right: break
    except OSError: failed += 1
    time.sleep(0.02)
kinds = set()
for _ in range(50):
    fd = os.open('big-0.bin', os.O_RDONLY)
    kinds.add(by_read(fd)); kinds.add(by_read(held)); kinds.add(by_map(fd)); kinds.add(by_map(held))
    os.close(fd)
    time.sleep(0.02)
print(first != right, kinds == {right})
`);
  expect(seen).toBe('True True');
  expect(await inMount('sha256sum < big-0.bin')).toContain(lfsOid(BIG));
  expect(stage.log()).toContain('are not those of');
}, 120_000);

test('a store that is smaller than what is read gives the right bytes, and shrinks again', async () => {
  await mount({ store_limit: '16 MiB' });
  for (let round = 0; round < 2; round++) {
    const sums = await inMount('for n in 0 1 2; do sha256sum < big-$n.bin & done; wait');
    expect(sums.match(/[0-9a-f]{64}/gu)?.sort()).toEqual(FILES.map((file) => lfsOid(file)).sort());
  }
  const objects = stage.path('store/lfs/objects');
  const stored = (): number =>
    readdirSync(objects, { recursive: true }).filter((name) => /[0-9a-f]{64}$/u.test(String(name))).length;
  await vi.waitFor(() => expect(stored()).toBe(0), { timeout: 30_000, interval: 200 });
}, 120_000);

test('many files that are open and bring nothing hold up neither others nor the end, and leave nothing', async () => {
  const pid = await mount();
  served.proxy.inject({ kind: 'hang' }, OBJECT);
  const descriptors = (): number => readdirSync(`/proc/${pid}/fd`).length;
  const before = descriptors();
  const took = await python(`
import os, time
held = [os.open('silent/%d.bin' % n, os.O_RDONLY) for n in range(${SILENT.length})]
start = time.time()
sizes = {os.fstat(fd).st_size for fd in held}
assert sizes == {${SILENT_BYTES}}, sizes
assert open('notes.txt').read() == 'small\\n'
assert os.path.getsize('big-1.bin') == ${BIG.length}
print(time.time() - start < 5)
`);
  expect(took).toBe('True');
  await vi.waitFor(() => expect(descriptors()).toBeLessThan(before + 20), { timeout: 30_000, interval: 200 });
  await vi.waitFor(() => expect(readdirSync(stage.path('store/lfs/incomplete'))).toEqual([]), {
    timeout: 10_000,
  });

  // Whoever waits can be interrupted, and the mount unmounted, and the daemon stopped.
  const start = performance.now();
  await inMount('timeout -s INT 1 cat silent/0.bin || true');
  expect(performance.now() - start).toBeLessThan(10_000);
  const readers = inMount('for n in 1 2 3 4 5 6 7 8; do cat silent/$n.bin & done; wait').catch(
    () => undefined,
  );
  await vi.waitFor(() => expect(served.proxy.count(OBJECT.path)).toBeGreaterThan(3), { timeout: 20_000 });
  await stage.end(pid, 'SIGTERM');
  await readers;
  expect(stage.mountpoints()).toEqual([]);
}, 120_000);
