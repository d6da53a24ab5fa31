// Large files in a mount: what is shown, what is read, what is fetched for that, and what is said when it fails.
import { chmodSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { lfsObjectPath, lfsOid, lfsPointer, noise, storeLfsObject } from '../support/lfs-repository.ts';
import { shell } from '../support/run-program.ts';
import { useServedStage } from '../support/served-stage.ts';
import type { Stage } from '../support/stage.ts';

const MIB = 1024 * 1024;
const BIG = noise(24 * MIB, 'big');
const MEDIUM = noise(3 * MIB, 'medium');
const LOST = noise(5000, 'lost');
const SMALL = Array.from({ length: 30 }, (_none, nth) => noise(20_000 + nth, `small ${nth}`));

const pointerOf = (content: Buffer): string => lfsPointer(lfsOid(content), content.length);
/** Of a size that a pointer could have. */
const TEXT = 'not a pointer, but as small as one\n'.repeat(5);

const served = useServedStage({
  '.gitattributes': '*.bin filter=lfs diff=lfs merge=lfs -text\n',
  'project/big.bin': pointerOf(BIG),
  'project/medium.bin': pointerOf(MEDIUM),
  'project/lost.bin': pointerOf(LOST),
  'project/unmarked.dat': pointerOf(MEDIUM),
  'project/text.bin': TEXT,
  'project/notes.txt': TEXT,
  'project/plain/.gitattributes': '*.bin !filter\n',
  'project/plain/a.bin': pointerOf(MEDIUM),
  ...Object.fromEntries(
    SMALL.map((content, nth) => [`project/many/${String(nth).padStart(2, '0')}.bin`, pointerOf(content)]),
  ),
});

let stage: Stage;
let point: string;

beforeEach(() => {
  stage = served.stage;
  point = stage.path('mnt');
  for (const content of [BIG, MEDIUM, ...SMALL]) storeLfsObject(join(served.repository.path, 'lfs'), content);
});

/** By another process: the server's proxy runs in this one. */
const inMount = (script: string): Promise<string> => shell(script, { cwd: point });
const hashOf = async (file: string): Promise<string> => (await inMount(`sha256sum ${file}`)).slice(0, 64);
const sizeOf = async (file: string): Promise<number> => Number(await inMount(`stat -c %s ${file}`));
const errorOf = (file: string): Promise<string> => inMount(`cat ${file} 2>&1 >/dev/null || true`);

const BATCH = /\/objects\/batch$/u;
/** Requests for content, as a range of positions. */
const downloads = (): readonly { readonly url: string; readonly range: string | undefined }[] =>
  served.proxy.requests
    .filter(({ method, url }) => method === 'GET' && /\/objects\/[0-9a-f]{64}/u.test(url))
    .map(({ url, headers }) => ({ url, range: headers['range'] }));

/** Starts the daemon, and waits for its mount. */
async function serveAgain(): Promise<void> {
  await stage.serve();
  const isBack = async (): Promise<void> => void (await inMount('stat big.bin'));
  await vi.waitFor(isBack, { timeout: 20_000, interval: 100 });
}

async function mount(keys: Record<string, string> = {}, path = '/project'): Promise<void> {
  stage.configure({ base_url: served.proxy.url, ...keys });
  await stage.succeed('mount', path, point);
  served.proxy.reset();
}

describe('what is shown', () => {
  test('stat, ls and find show the sizes of the large files, and nothing of them is fetched', async () => {
    await mount();
    expect(await inMount('stat -c "%s %n" *.bin *.dat *.txt plain/* many/07.bin')).toBe(
      [
        `${BIG.length} big.bin`,
        `${LOST.length} lost.bin`,
        `${MEDIUM.length} medium.bin`,
        `${TEXT.length} text.bin`,
        `${pointerOf(MEDIUM).length} unmarked.dat`,
        `${TEXT.length} notes.txt`,
        `${pointerOf(MEDIUM).length} plain/a.bin`,
        `${SMALL[7]?.length} many/07.bin`,
      ].join('\n'),
    );
    expect(await inMount('find . -size +1M | sort')).toBe('./big.bin\n./medium.bin');
    expect(await inMount('ls -l many | wc -l')).toBe('31');
    expect(served.proxy.count(BATCH)).toBe(0);
    expect(downloads()).toEqual([]);
  });

  test.each<[string, Record<string, string>, readonly (number | undefined)[]]>([
    ['off', { lfs_smudge: 'off' }, [undefined, undefined, undefined]],
    ['any-pointer', { lfs_smudge: 'any-pointer' }, [BIG.length, MEDIUM.length, MEDIUM.length]],
    ['include', { lfs_include: '/project/big.*, many' }, [BIG.length, undefined, undefined]],
    ['exclude', { lfs_exclude: '/project/big.bin' }, [undefined, undefined, undefined]],
  ])('as the configuration says: %s', async (_what, keys, sizes) => {
    await mount(keys);
    const contents = [BIG, MEDIUM, MEDIUM];
    for (const [nth, file] of ['big.bin', 'unmarked.dat', 'plain/a.bin'].entries()) {
      const pointer = pointerOf(contents[nth] as Buffer);
      expect([file, await sizeOf(file)]).toEqual([file, sizes[nth] ?? pointer.length]);
      if (sizes[nth] === undefined) expect(await inMount(`cat ${file}`)).toBe(pointer.trimEnd());
    }
    expect(await sizeOf('text.bin')).toBe(TEXT.length);
  });
});

describe('what is read', () => {
  test('is the large file; a second reading, and a second mount, fetch nothing', async () => {
    await mount();
    expect(await hashOf('big.bin')).toBe(lfsOid(BIG));
    expect(await hashOf('medium.bin')).toBe(lfsOid(MEDIUM));
    expect(await inMount('cat text.bin')).toBe(TEXT.trimEnd());
    served.proxy.reset();
    expect(await hashOf('big.bin')).toBe(lfsOid(BIG));
    await stage.succeed('umount', 'project');
    await stage.succeed('mount', '/', point);
    served.proxy.reset();
    expect(await hashOf('project/big.bin')).toBe(lfsOid(BIG));
    expect([served.proxy.count(BATCH), downloads()]).toEqual([0, []]);
  });

  test('several readers share one transfer', async () => {
    await mount();
    const hashes = await Promise.all(Array.from({ length: 4 }, () => hashOf('big.bin')));
    expect(new Set(hashes)).toEqual(new Set([lfsOid(BIG)]));
    // A reader that is where the transfer is must not take what waits to be written for what was never asked for.
    expect(served.proxy.bytes).toBeLessThan(BIG.length * 1.05);
  });

  test('a read in the middle does not wait for what is before it', async () => {
    await mount({ lfs_ranges_above: '1MiB' });
    const at = 20 * MIB + 17;
    const read = await inMount(`dd if=big.bin bs=1 skip=${at} count=1000 status=none | sha256sum`);
    expect(read.slice(0, 64)).toBe(lfsOid(BIG.subarray(at, at + 1000)));
    expect(served.proxy.bytes).toBeLessThan(12 * MIB);
    expect(await hashOf('big.bin')).toBe(lfsOid(BIG));
  });

  test('file after file costs few questions, and the next ones come ahead', async () => {
    await mount();
    const hashes = await inMount('ls -l many >/dev/null; for f in many/*; do sha256sum <$f; done');
    expect(hashes.split('\n').map((line) => line.slice(0, 64))).toEqual(SMALL.map(lfsOid));
    expect(served.proxy.count(BATCH)).toBeLessThanOrEqual(2);
    expect(downloads()).toHaveLength(SMALL.length);
  });

  test('what is touched, made executable or moved is not fetched for that, and reads right afterwards', async () => {
    await mount();
    await inMount('touch big.bin; chmod +x medium.bin; mkdir d; mv medium.bin d/moved.bin; mv many d/');
    expect(await sizeOf('d/moved.bin')).toBe(MEDIUM.length);
    expect([served.proxy.count(BATCH), downloads()]).toEqual([0, []]);
    expect(await hashOf('d/moved.bin')).toBe(lfsOid(MEDIUM));
    expect(await hashOf('d/many/03.bin')).toBe(lfsOid(SMALL[3] as Buffer));
    expect(await hashOf('big.bin')).toBe(lfsOid(BIG));
  });

  test('a changed large file keeps what was not written', async () => {
    await mount();
    await inMount('printf XYZ | dd of=medium.bin bs=1 seek=1000 conv=notrunc status=none');
    const expected = Buffer.from(MEDIUM);
    expected.write('XYZ', 1000);
    expect(await hashOf('medium.bin')).toBe(lfsOid(expected));
  });
});

describe('wrong bytes', () => {
  test.each<[string, Record<string, string>]>([
    ['a file that comes as a whole', {}],
    ['ranges', { lfs_ranges_above: '1MiB' }],
  ])('never end well for who reads all of them: %s', async (_what, keys) => {
    const damaged = Buffer.from(BIG);
    damaged.writeUInt8(damaged.readUInt8(BIG.length - 1000) ^ 0xff, BIG.length - 1000);
    const stored = lfsObjectPath(join(served.repository.path, 'lfs'), lfsOid(BIG));
    chmodSync(stored, 0o644);
    writeFileSync(stored, damaged);
    await mount(keys);
    for (let round = 0; round < 2; round++) {
      expect(await inMount('cp big.bin ../copy 2>/dev/null || echo failed')).toBe('failed');
      expect(await inMount('sha256sum big.bin 2>/dev/null || echo failed')).toBe('failed');
    }
    writeFileSync(stored, BIG);
    await vi.waitFor(async () => expect(await hashOf('big.bin')).toBe(lfsOid(BIG)), {
      timeout: 30_000,
      interval: 500,
    });
  });
});

describe('attributes that are edited in the mount', () => {
  test('change what pointers read as at once, in both directions', async () => {
    await mount();
    const pointer = pointerOf(MEDIUM);
    expect(await inMount('cat unmarked.dat')).toBe(pointer.trimEnd());
    expect(await hashOf('medium.bin')).toBe(lfsOid(MEDIUM));
    await inMount('printf "*.dat filter=lfs\\n*.bin -filter\\n" > .gitattributes');
    expect([await sizeOf('unmarked.dat'), await sizeOf('medium.bin')]).toEqual([
      MEDIUM.length,
      pointer.length,
    ]);
    expect(await hashOf('unmarked.dat')).toBe(lfsOid(MEDIUM));
    expect(await inMount('cat medium.bin')).toBe(pointer.trimEnd());
    await inMount('rm .gitattributes');
    expect([await sizeOf('unmarked.dat'), await sizeOf('medium.bin')]).toEqual([
      pointer.length,
      MEDIUM.length,
    ]);
    expect(await inMount('cat unmarked.dat')).toBe(pointer.trimEnd());
    expect(await hashOf('medium.bin')).toBe(lfsOid(MEDIUM));
  });
});

describe('failures', () => {
  const failuresOf = async (): Promise<{ path: string; oid: string; reason: string }[]> => {
    const { mounts } = JSON.parse(await stage.succeed('list', '--json')) as {
      mounts: { lfs: { failures: { path: string; oid: string; reason: string }[] } }[];
    };
    return mounts[0]?.lfs.failures ?? [];
  };

  test('a large file that the server lost is no data, in the log, and in the status', async () => {
    await mount();
    expect(await errorOf('lost.bin')).toContain('No data available');
    expect(await sizeOf('lost.bin')).toBe(LOST.length);
    expect(await failuresOf()).toEqual([expect.objectContaining({ path: 'lost.bin', oid: lfsOid(LOST) })]);
    expect(stage.log()).toContain(lfsOid(LOST));
    storeLfsObject(join(served.repository.path, 'lfs'), LOST);
    await vi.waitFor(async () => expect(await hashOf('lost.bin')).toBe(lfsOid(LOST)), {
      timeout: 20_000,
      interval: 500,
    });
  });

  test.each([
    [401, 'Permission denied'],
    [403, 'Permission denied'],
    [404, 'Input/output error'],
  ])('a batch answer of %i is "%s", and other files are as they were', async (status, text) => {
    await mount();
    await inMount('ls -l >/dev/null; cat notes.txt >/dev/null');
    served.proxy.inject({ kind: 'status', status }, { path: BATCH });
    expect(await errorOf('medium.bin')).toContain(text);
    expect(await inMount('cat notes.txt')).toBe(TEXT.trimEnd());
    expect((await failuresOf()).map(({ oid }) => oid)).toContain(lfsOid(MEDIUM));
  });

  test('a server that is away: what is stored is read, what is not is a clear error, and comes when it is back', async () => {
    await mount({ fetch_max_retries: '2' });
    expect(await hashOf('big.bin')).toBe(lfsOid(BIG));
    await inMount('ls -lR >/dev/null');
    await served.proxy.stop();
    expect(await hashOf('big.bin')).toBe(lfsOid(BIG));
    expect(await sizeOf('medium.bin')).toBe(MEDIUM.length);
    const said = await errorOf('medium.bin');
    expect(said).toMatch(/No route to host|timed out/u);
    await served.proxy.start();
    await vi.waitFor(async () => expect(await hashOf('medium.bin')).toBe(lfsOid(MEDIUM)), {
      timeout: 20_000,
      interval: 500,
    });
  });
});

describe('what is known of pointers', () => {
  test('is learned anew from the local store when it was damaged, without a server', async () => {
    await mount();
    await inMount('ls -lR >/dev/null; cat .gitattributes 2>/dev/null || true');
    expect(await hashOf('medium.bin')).toBe(lfsOid(MEDIUM));
    const [pid = 0] = stage.daemonPids();
    await stage.end(pid, 'SIGTERM');
    await served.proxy.stop();
    writeFileSync(stage.path('store/pointers/CURRENT'), 'nonsense\n');
    await serveAgain();
    expect(await sizeOf('big.bin')).toBe(BIG.length);
    expect(await hashOf('medium.bin')).toBe(lfsOid(MEDIUM));
    await vi.waitFor(() => expect(stage.log()).toContain('pointers were learned anew'));
    expect(stage.log()).toContain('the pointer store was damaged');
    expect(
      readdirSync(stage.path('store')).filter((name) => name.startsWith('pointers.damaged-')),
    ).toHaveLength(1);
  });
});

describe('ends', () => {
  test('a daemon that is killed in the middle goes on where it was', async () => {
    await mount();
    served.proxy.inject({ kind: 'stall', afterBytes: 12 * MIB }, { path: /\/objects\/[0-9a-f]{64}/u });
    const reading = inMount('cat big.bin | wc -c').catch(() => undefined);
    await vi.waitFor(() => expect(served.proxy.bytes).toBeGreaterThan(8 * MIB), { timeout: 20_000 });
    await sleep(300);
    const [pid = 0] = stage.daemonPids();
    await stage.end(pid, 'SIGKILL');
    await reading;
    served.proxy.heal();
    await serveAgain();
    served.proxy.reset();
    expect(await hashOf('big.bin')).toBe(lfsOid(BIG));
    expect(served.proxy.bytes).toBeLessThan(22 * MIB);
  });

  test('a mount can be unmounted, and the daemon stopped, while a large file is on its way', async () => {
    await mount();
    served.proxy.inject({ kind: 'stall', afterBytes: MIB }, { path: /\/objects\/[0-9a-f]{64}/u });
    const reading = inMount('cat big.bin | wc -c').catch(() => undefined);
    await vi.waitFor(() => expect(served.proxy.bytes).toBeGreaterThan(MIB / 2), { timeout: 20_000 });
    await stage.scorpio('umount', '--lazy', 'project');
    expect(stage.mountpoints()).toEqual([]);
    const [pid = 0] = stage.daemonPids();
    await stage.end(pid, 'SIGTERM');
    await reading;
  });
});
