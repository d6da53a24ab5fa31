// Access to the LFS routes: users, a token, links that expire, and the verify action.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { ask } from '../support.ts';
import { basic, oidOf, serveLfs } from './support.ts';

const CONTENT = 'guarded';
const OBJECT = { oid: oidOf(CONTENT), size: CONTENT.length };

interface Link {
  readonly href: string;
  readonly header: Record<string, string>;
}

const linkOf = (answer: { json<T>(): T }, name: string): Link => {
  const { objects } = answer.json<{ objects: { actions: Record<string, Link> }[] }>();
  return objects[0]?.actions[name] as Link;
};

test('without a name and password a request is refused, and told how to come in', async () => {
  await using served = await serveLfs({ users: { ada: 'secret' } });
  const batch = { operation: 'upload', objects: [OBJECT] };
  for (const auth of [undefined, basic('ada', 'wrong'), basic('eve', 'secret'), 'Bearer x']) {
    const answer = await served.post('/objects/batch', batch, auth === undefined ? {} : { auth });
    expect([answer.status, answer.headers['lfs-authenticate']]).toEqual([401, 'Basic realm="LFS"']);
  }
  expect((await served.put(CONTENT)).status).toBe(401);
  expect((await ask(served.url, '/locks')).status).toBe(401);
  const { href, header } = linkOf(
    await served.post('/objects/batch', batch, { auth: basic('ada', 'secret') }),
    'upload',
  );
  const path = new URL(href).pathname;
  expect((await ask(served.url, path, { method: 'PUT', headers: header, body: CONTENT })).status).toBe(200);
  // The link of one object opens no other.
  const other = path.replace(OBJECT.oid, oidOf('other'));
  expect((await ask(served.url, other, { headers: header })).status).toBe(401);
});

test('a token comes in as well', async () => {
  await using served = await serveLfs({ token: 'abc' });
  const ask = (auth: string) => served.post('/locks/verify', {}, { auth });
  expect((await ask('Bearer abc')).status).toBe(200);
  expect((await ask('Bearer abd')).status).toBe(401);
});

test('a link that has expired is refused', async () => {
  await using served = await serveLfs({ linkSeconds: 0.05 });
  const answer = await served.post('/objects/batch', { operation: 'upload', objects: [OBJECT] });
  const { href, header } = linkOf(answer, 'upload');
  await sleep(100);
  const upload = { method: 'PUT', headers: header, body: CONTENT };
  expect((await ask(served.url, new URL(href).pathname, upload)).status).toBe(403);
});

test('where clients are asked to confirm, that checks size and presence', async () => {
  await using served = await serveLfs({ asksToVerify: true, publicUrl: 'https://files.example/' });
  const answer = await served.post('/objects/batch', { operation: 'upload', objects: [OBJECT] });
  expect(linkOf(answer, 'verify').href).toBe('https://files.example/info/lfs/objects/verify');
  const verify = async (object: object) => (await served.post('/objects/verify', object)).status;
  expect(await verify(OBJECT)).toBe(404);
  await served.put(CONTENT);
  expect(await verify({ ...OBJECT, size: 1 })).toBe(422);
  expect(await verify(OBJECT)).toBe(200);
});
