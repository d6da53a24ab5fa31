// Downloads: what the batch route says, and one attempt to get the bytes.
import { beforeEach, expect, test } from 'vitest';
import { LfsError } from '../../../../src/lfs/lfs-error.ts';
import type { TransferAction } from '../../../../src/lfs/client/lfs-client.ts';
import { createPlainLfs } from '../../../support/plain-lfs.ts';
import type { PlainLfs } from '../../../support/plain-lfs.ts';
import { afterTest, makeClient, objectOf, readAll, useGitConfig } from './support.ts';
import type { TestObject } from './support.ts';

beforeEach(() => useGitConfig());

async function startMega(...objects: TestObject[]): Promise<PlainLfs> {
  const mega = await createPlainLfs();
  afterTest(() => mega.close());
  for (const object of objects) {
    mega.objects.set(object.oid, object.content);
    mega.announced.set(object.oid, object.size);
  }
  return mega;
}

function actionOf(found: TransferAction | LfsError | undefined): TransferAction {
  if (found === undefined || found instanceof LfsError) throw found ?? new Error('nothing was said');
  return found;
}

test('an object of a Mega server is located and downloaded', async () => {
  const object = objectOf('large');
  const mega = await startMega(object);
  const { client } = makeClient(mega.url);
  const located = await client.locate([object]);
  const body = await client.download(object, actionOf(located.get(object.oid)), { start: 0 });
  expect(body.start).toBe(0);
  expect(await readAll(body.chunks)).toEqual(object.content);
  expect(client.url).toBe(`${mega.url}/project.git/info/lfs`);
});
