// Large files (Git LFS): one from its first byte to its last, a part of a huge one, and many at once from a far server.
import { join } from 'node:path';
import { runCommand } from '../processes.mjs';
import { compare, compareAfresh } from '../comparison.mjs';
import { row } from '../row.mjs';
import { atLeastSpeed, atMost, atMostTimes } from '../targets.mjs';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const FIRST_SPEED = 0.8;
const CACHED_SPEED = 0.9;
const MIDDLE_BYTES_MAX = 8 * MIB;
const FAR_MS = 20;
const READERS = 8;

const withoutPeers = (stage) => stage.contenders.filter(({ kind }) => kind !== 'peer');
const linkOf = ({ url, files }) => `${url}/info/lfs/objects/${files[0].oid}`;
const curl = (stage, url, ...args) => stage.time('curl', ['-sSf', '-o', '/dev/null', ...args, url]);

/** One file: nothing stored, then all of it. The local disk's part is `curl` first, then what curl has written. */
async function one(stage) {
  const size = (stage.quick ? 64 : 512) * MIB;
  const repository = await stage.largeFiles({ count: 1, size });
  const name = `${size / MIB} MiB`;
  const byte = row('first byte of a large file (local: curl)', { readme: true });
  const first = row(`read a large file of ${name} from the server (local: curl)`, {
    target: atLeastSpeed(FIRST_SPEED),
    readme: true,
  });
  const again = row(`read it again`, { target: atLeastSpeed(CACHED_SPEED), readme: true });
  const whole = (root) => stage.client('readThrough', { file: join(root, repository.paths[0]) });
  await compareAfresh(stage, [byte, first], {
    turns: stage.quick ? 3 : 5,
    contenders: withoutPeers(stage),
    sample: async (contender, record) => {
      const url = linkOf(repository);
      if (contender.kind === 'local') {
        record(byte, await curl(stage, url, '-r', '0-0'));
        const copy = stage.fresh('download');
        record(first, await stage.time('curl', ['-sSf', '-o', copy, url]));
        stage.remove(copy);
        return;
      }
      const place = await stage.enter(contender, repository);
      const file = join(place.root, repository.paths[0]);
      record(byte, await stage.client('readPart', { file, position: 0, length: 1 }));
      await stage.leave(place);
      const another = await stage.enter(contender, repository);
      record(first, await whole(another.root));
      await stage.leave(another);
    },
  });
  await compare(stage, [again], {
    turns: stage.quick ? 3 : 5,
    contenders: withoutPeers(stage),
    begin: async (contender) => {
      if (contender.kind === 'local') {
        const root = stage.freshFolder('download');
        await stage.time('curl', ['-sSf', '-o', join(root, repository.paths[0]), linkOf(repository)]);
        return { root, stop: async () => stage.remove(root) };
      }
      const place = await stage.enter(contender, repository);
      await whole(place.root);
      return place;
    },
    sample: async ({ root }, record) => {
      await whole(root);
      record(again, await whole(root));
    },
  });
  return [byte, first, again];
}

/** A part of a file that nobody could wait for. */
async function middle(stage) {
  const size = 10 * GIB;
  const repository = await stage.largeFiles({ count: 1, size, isSparse: true });
  const { url, counts } = await stage.counting(repository.url);
  const what = '1 MiB in the middle of 10 GiB';
  const time = row(`${what} (local: curl)`, { readme: true });
  const bytes = row(`${what}: bytes moved`, {
    unit: 'bytes',
    target: atMost(MIDDLE_BYTES_MAX),
    readme: true,
  });
  const requests = row(`${what}: requests beyond the batch call`, { unit: 'count', target: atMost(1) });
  await compareAfresh(stage, [time, bytes, requests], {
    turns: 3,
    contenders: withoutPeers(stage),
    sample: async (contender, record) => {
      const part = { position: size / 2, length: MIB };
      if (contender.kind === 'local') {
        const range = `${part.position}-${part.position + MIB - 1}`;
        record(time, await curl(stage, linkOf({ ...repository, url }), '-r', range));
        await counts();
        return;
      }
      const place = await stage.enter(contender, repository, { url });
      await counts();
      record(time, await stage.client('readPart', { file: join(place.root, repository.paths[0]), ...part }));
      const moved = await counts();
      record(bytes, moved.bytes);
      record(requests, moved.objects + moved.batches - 1);
      await stage.leave(place);
    },
  });
  return [time, bytes, requests];
}

/** The real git-lfs in a new clone: its own transfers alone are timed. */
async function pullWithGit(stage, repository, url) {
  const clone = stage.fresh('clone');
  const git = (...args) => runCommand('git', ['-C', clone, ...args]);
  await runCommand('git', ['clone', '-q', '--no-checkout', repository.directory, clone]);
  await git('lfs', 'install', '--local', '--skip-smudge');
  await git('config', 'lfs.url', `${url}/info/lfs`);
  await git('checkout', '-q', 'main');
  const ms = await stage.time('git', ['-C', clone, 'lfs', 'pull']);
  stage.remove(clone);
  return ms;
}

/** Many files from a server that is far away; the local disk's part is `git lfs pull`. */
async function many(stage) {
  const count = stage.quick ? 50 : 500;
  const repository = await stage.largeFiles({ count, size: MIB });
  const url = await stage.slowly(repository.url, FAR_MS);
  const list = stage.list(repository.paths);
  const what = `${count} large files of 1 MiB, ${FAR_MS} ms away`;
  const target = atMostTimes(1);
  const fetched = row(`${what}: scorpio lfs fetch (local: git lfs pull)`, { target, readme: true });
  const together = row(`${what}: ${READERS} readers (local: git lfs pull)`, { readme: true });
  const inOrder = row(`${what}: cat (local: git lfs pull)`, { readme: true });
  await compareAfresh(stage, [fetched, together, inOrder], {
    turns: 3,
    contenders: withoutPeers(stage).filter(({ id }) => id === 'local' || id === 'scorpio'),
    sample: async (contender, record) => {
      if (contender.kind === 'local') {
        const ms = await pullWithGit(stage, repository, url);
        for (const entry of [fetched, together, inOrder]) record(entry, ms);
        return;
      }
      const inNewMount = async (entry, measure) => {
        const place = await stage.enter(contender, repository, { url });
        record(entry, await measure(place));
        await stage.leave(place);
      };
      await inNewMount(fetched, (place) => place.fetchLargeFiles());
      await inNewMount(together, ({ root }) =>
        stage.client('readFilesTogether', { root, list, readers: READERS }),
      );
      await inNewMount(inOrder, ({ root }) => stage.client('readFiles', { root, list }));
    },
  });
  return [fetched, together, inOrder];
}

/** The rows of large files. */
export async function lfs(stage) {
  return [...(await one(stage)), ...(await middle(stage)), ...(await many(stage))];
}
