// Reading one large file: from the server, from the store, from the kernel's cache; in order, in random pages, mapped.
import { join } from 'node:path';
import { showCount } from '../amounts.mjs';
import { compare, compareAfresh } from '../comparison.mjs';
import { row } from '../row.mjs';
import { atLeastSpeed } from '../targets.mjs';

const MIB = 2 ** 20;
const TARGET_SPEED = 0.9;

/** Nothing is stored; the local disk's part is to copy the file from the same server. */
async function readFirst(stage, repository, entry) {
  await compareAfresh(stage, [entry], {
    turns: 3,
    contenders: stage.contenders.filter(({ kind }) => kind !== 'peer'),
    sample: async (contender, record) => {
      if (contender.kind === 'local') {
        const copy = stage.fresh('download');
        const url = repository.url + repository.blob;
        record(entry, await stage.client('download', { url, file: copy }));
        stage.remove(copy);
        return;
      }
      const place = await stage.enter(contender, repository);
      record(entry, await stage.client('readThrough', { file: join(place.root, repository.path) }));
      await stage.leave(place);
    },
  });
}

/** "Uncached" is what the mount holds no pages of, while the disk under it does. */
export async function large(stage) {
  const size = (stage.quick ? 64 : 512) * MIB;
  const repository = await stage.largeFile(size);
  const pages = { size, count: stage.quick ? 5000 : 20_000 };
  const name = `${size / MIB} MiB`;
  const target = atLeastSpeed(TARGET_SPEED);
  const first = row(`read ${name} from the server (local: copy over HTTP)`, { readme: true });
  const cold = row(`read ${name}, stored, all caches empty`);
  const uncached = row(`read ${name}, stored, not cached by the mount`, { readme: true });
  const again = row(`read ${name}, again`, { target, readme: true });
  const random = row(`${showCount(pages.count)} random pages of it, again`, { target, readme: true });
  const mapped = row('copy it out of a mapping, again', { target });
  await readFirst(stage, repository, first);

  const stored = [cold, uncached, again, random, mapped];
  await compare(stage, stored, {
    turns: stage.quick ? 3 : 5,
    begin: async (contender) => {
      const place = await stage.enter(contender, repository);
      await stage.client('readThrough', { file: join(place.root, repository.path) });
      return place;
    },
    sample: async (place, record, contender) => {
      const file = join(place.root, repository.path);
      const through = () => stage.client('readThrough', { file });
      await stage.dropCaches();
      record(cold, await through());
      // On the local disk there is one cache only: its file stays there.
      if (contender.kind !== 'local') await stage.dropFile(file);
      record(uncached, await through());
      record(again, await through());
      record(random, await stage.client('readPages', { file, ...pages }));
      record(mapped, await stage.readMapped(file));
      await stage.dropFile(file);
    },
  });
  return [first, ...stored];
}
