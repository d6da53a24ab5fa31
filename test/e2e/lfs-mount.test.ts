// A repository that the real git-lfs has written, mounted: every file is what a checkout of git-lfs has.
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createMegaServer, type MegaServer } from '../../src/mega-server/mega-server.ts';
import { createFaultProxy, type FaultProxy } from '../support/fault-proxy.ts';
import { createGitRepository, type GitRepository } from '../support/git-repository.ts';
import { createLfsWorkTree, type LfsFileSpec, type LfsWorkTree, noise } from '../support/lfs-repository.ts';
import { shell } from '../support/run-program.ts';
import { createStage, type Stage } from '../support/stage.ts';

const OBJECT = /\/objects\/[0-9a-f]{64}/;
const FILES: Readonly<Record<string, LfsFileSpec>> = {
  'README.md': 'an ordinary file\n',
  'big.bin': noise(6_000_000, 'big'),
  'tool.bin': { content: noise(50_000, 'tool'), executable: true },
  'empty.bin': '',
  'tiny.bin': 'x',
  'ein Bild mit ä und "x".psd': noise(70_000, 'picture'),
  'assets/deep/er/sound.wav': noise(1_200_000, 'sound'),
  'assets/notes.txt': 'large by its folder\n',
  // What the folder's own file says counts more.
  'nested/.gitattributes': '*.dat filter=lfs diff=lfs merge=lfs -text\nsmall.bin !filter !diff !merge text\n',
  'nested/a.dat': noise(30_000, 'dat'),
  'nested/small.bin': 'an ordinary file by an exception\n',
  'nested/deeper/.gitattributes': '*.dat -filter -diff -merge\n',
  'nested/deeper/b.dat': 'ordinary again\n',
  'like.txt': 'version https://git-lfs.github.com/spec/v1\nnot a pointer\n',
};

/** Of all large files together. */
const LARGE_BYTES =
  6_000_000 + 50_000 + 1 + 70_000 + 1_200_000 + Buffer.byteLength('large by its folder\n') + 30_000;

let origin: GitRepository;
let server: MegaServer;
let proxy: FaultProxy;
let checkout: LfsWorkTree;
let stage: Stage;
let point: string;

beforeAll(async () => {
  origin = await createGitRepository({ files: { '.mega': '' } });
  server = await createMegaServer({ repo: origin.path, port: 0 });
  proxy = await createFaultProxy(server.url);
  const options = { clone: origin.path, lfsUrl: `${server.url}/info/lfs` };
  await using author = await createLfsWorkTree(options);
  await author.git('lfs', 'track', '*.bin', '*.psd', 'assets/**');
  await author.commit(FILES);
  await author.git('push', '--quiet', 'origin', 'main');
  checkout = await createLfsWorkTree(options);
}, 120_000);

beforeEach(() => {
  stage = createStage();
  stage.configure({ base_url: proxy.url });
  point = stage.path('mnt');
  proxy.reset();
  return () => stage.dispose();
});

afterAll(async () => {
  await checkout?.remove();
  await proxy?.close();
  await server?.close();
  await origin?.remove();
});

const LIST =
  "find . -name .git -prune -o -printf '%P %y %s %M\\n' | LC_ALL=C sort | sed 's/^\\(.* d\\) [0-9]* /\\1 /'";

test('names, sizes and modes are those of a checkout, and nothing large is fetched for them', async () => {
  await stage.succeed('mount', '/', point);
  expect(await shell(LIST, { cwd: point })).toBe(await shell(LIST, { cwd: checkout.path }));
  const found = await shell("find . -size +1000k -printf '%P\\n' | sort", { cwd: point });
  expect(found.split('\n')).toEqual(['assets/deep/er/sound.wav', 'big.bin']);
  expect(proxy.count(OBJECT, 'GET')).toBe(0);
});

test('all contents are those of a checkout, and the next mount fetches no large file again', async () => {
  await stage.succeed('mount', '/', point);
  await shell('diff -r --exclude=.git "$1" "$2"', { args: [checkout.path, point] });
  // A transfer may come in parts, which may overlap a little.
  const moved = proxy.requests
    .filter(({ url }) => OBJECT.test(url))
    .reduce((sum, { bytes }) => sum + bytes, 0);
  expect(moved).toBeLessThan(2 * LARGE_BYTES);
  await stage.succeed('umount', point);
  proxy.reset();
  await stage.succeed('mount', '/', point);
  await shell('diff -r --exclude=.git "$1" "$2"', { args: [checkout.path, point] });
  expect(proxy.count(OBJECT)).toBe(0);
});

test('a mount of a folder knows the attributes above it', async () => {
  await stage.succeed('mount', '/assets', point);
  await shell('diff -r "$1" "$2"', { args: [join(checkout.path, 'assets'), point] });
});

test('scorpio lfs fetch has everything at hand, and the server may go away', async () => {
  await stage.succeed('mount', '/', point);
  await stage.succeed('lfs', 'fetch', '--mount', point);
  await shell('find . -type f -not -name "*.bin" -exec cat {} + > /dev/null', { cwd: point });
  await proxy.stop();
  try {
    await shell('cmp "$1/big.bin" "$2/big.bin"; cmp "$1/nested/a.dat" "$2/nested/a.dat"', {
      args: [checkout.path, point],
    });
  } finally {
    await proxy.start();
  }
});

test('with smudge off the pointers are shown as they are', async () => {
  stage.configure({ base_url: proxy.url, lfs_smudge: 'off' });
  await stage.succeed('mount', '/', point);
  const pointer = await checkout.git('cat-file', '-p', 'HEAD:big.bin');
  expect(await shell('cat big.bin', { cwd: point })).toBe(pointer);
});

test('what Scorpio pushes the real git-lfs pulls', async () => {
  await stage.succeed('mount', '/', point);
  await shell(
    'printf changed | dd of=big.bin bs=1 seek=1000000 conv=notrunc status=none; head -c 300000 big.bin > new.bin',
    { cwd: point },
  );
  const status = async () => {
    const json = await stage.succeed('lfs', 'status', '--json', '--mount', point);
    return (
      JSON.parse(json) as {
        files: { path: string; change: string; oid: string; size: number; uploaded: boolean }[];
      }
    ).files;
  };
  const before = await status();
  expect(before.map(({ path, change, uploaded }) => [path, change, uploaded])).toEqual([
    ['big.bin', 'modified', false],
    ['new.bin', 'new', false],
  ]);
  await stage.succeed('lfs', 'push', '--mount', point);
  expect((await status()).map(({ uploaded }) => uploaded)).toEqual([true, true]);
  const pointers = before.map(({ path, oid, size }) => [
    path,
    `version https://git-lfs.github.com/spec/v1\noid sha256:${oid}\nsize ${size}\n`,
  ]);
  await origin.commit(Object.fromEntries(pointers) as Record<string, string>, {
    branch: 'pushed',
    from: 'main',
  });
  await checkout.git('fetch', '--quiet', 'origin', 'pushed');
  await checkout.git('checkout', '--quiet', '--detach', 'FETCH_HEAD');
  try {
    for (const { path } of before) {
      await shell('cmp "$1" "$2"', { args: [join(checkout.path, path), join(point, path)] });
    }
    await checkout.git('lfs', 'fsck');
  } finally {
    await checkout.git('checkout', '--quiet', 'main');
  }
});
