// commit-info and latest-commit against `git log -1 -- path`, over merges, renames and skewed clocks.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ask, dataOf, escapeBytes } from './support.ts';
import type { Envelope } from './support.ts';
import { createMegaServer } from '../../../src/mega-server/mega-server.ts';
import type { MegaServer } from '../../../src/mega-server/mega-server.ts';
import { createGitRepository, FIRST_COMMIT_TIME, utf8Name } from '../../support/git-repository.ts';
import type { GitRepository } from '../../support/git-repository.ts';

interface CommitItem {
  readonly commit_id: string;
  readonly name: string;
  readonly content_type: string;
  readonly commit_message: string;
  readonly date: string;
}

const LATIN1_FOLDER = 'caf\xe9';
const UNICODE_FOLDER = utf8Name('grüße');

let repository: GitRepository;
let server: MegaServer;

beforeAll(async () => {
  repository = await createGitRepository({
    files: {
      'a/one': '1',
      'a/two': '2',
      'a/sub/x': 'x',
      'b/file': 'b',
      top: 't',
      [`${LATIN1_FOLDER}/f`]: '1',
    },
  });
  await repository.commit({ 'a/one': '1b' }, { message: '\n\n  subject after blank lines  \n\nbody\n' });
  const base = await repository.commit({
    [`${UNICODE_FOLDER}/f`]: 'u',
    'a/run': { content: 'r', mode: 0o100755 },
  });
  await repository.commit({ 'a/sub/side': 's', 'a/two': 'side' }, { branch: 'side', from: base });
  const side = await repository.commit({ 'a/sub/side': 's2' }, { branch: 'side' });
  await repository.commit({ 'a/sub/main': 'm', 'b/file': 'b2' });
  // Differs from both parents in a/sub, and has a change of its own.
  await repository.commit(
    { 'a/sub/side': 's2', 'a/two': 'side', 'b/evil': 'e' },
    { merge: [side], message: 'merge' },
  );
  await repository.commit(
    { 'a/link': { symlink: 'one' } },
    { time: FIRST_COMMIT_TIME - 1000, message: 'skewed' },
  );
  await repository.commit({ [`${LATIN1_FOLDER}/g`]: '2', 'a/run': { content: 'r', mode: 0o100644 } });
  for (let number = 0; number < 20; number++) await repository.commit({ noise: String(number) });
  server = await createMegaServer({ repo: repository.path, port: 0 });
});

afterAll(async () => {
  await server.close();
  await repository.remove();
});

async function lastCommit(path: string, revision = 'HEAD'): Promise<string> {
  return repository.git(['--literal-pathspecs', 'log', '-1', '--format=%H %ct', revision, '--', path]);
}

async function expectCommitInfo(path: string, pathspec: string, refs = ''): Promise<void> {
  const listed = await dataOf<CommitItem[]>(server.url, `/api/v1/tree/commit-info?path=${path}&refs=${refs}`);
  expect(listed.length).toBeGreaterThan(0);
  const names = await dataOf<{ name: string }[]>(
    server.url,
    `/api/v1/tree/content-hash?path=${path}&refs=${refs}`,
  );
  expect(listed.map(({ name }) => name)).toEqual(names.map(({ name }) => name));
  for (const item of listed) {
    const expected = await lastCommit(`${pathspec}${item.name}`, refs === '' ? 'HEAD' : refs);
    expect(`${item.name}: ${item.commit_id} ${item.date}`).toBe(`${item.name}: ${expected}`);
  }
}

test('commit-info names for every entry the commit that git log names', async () => {
  await expectCommitInfo('/a', 'a/');
  await expectCommitInfo('/a/sub', 'a/sub/');
  await expectCommitInfo('/b', 'b/');
  await expectCommitInfo(encodeURIComponent('/grüße'), 'grüße/');
  const older = await repository.git(['rev-parse', 'HEAD~22']);
  await expectCommitInfo('/a', 'a/', older);
});

test('commit-info of the root covers names of any bytes', async () => {
  const listed = await dataOf<CommitItem[]>(server.url, '/api/v1/tree/commit-info');
  for (const item of listed) {
    const path = item.name.includes('\ufffd') ? ':(glob)caf?/**' : item.name;
    const args = ['log', '-1', '--format=%H', 'HEAD', '--', path];
    expect(`${item.name} ${item.commit_id}`).toBe(`${item.name} ${await repository.git(args)}`);
  }
});

test('a folder whose name is not UTF-8 has its own history', async () => {
  const target = `/api/v1/tree/commit-info?path=/${escapeBytes(LATIN1_FOLDER)}`;
  const listed = await dataOf<CommitItem[]>(server.url, target);
  const all = (await repository.git(['log', '--format=%H', 'HEAD'])).split('\n');
  expect(listed.map(({ name, commit_id }) => [name, commit_id])).toEqual([
    ['f', all.at(-1)],
    ['g', all[20]],
  ]);
});

test('the message is its first line that is not empty', async () => {
  const listed = await dataOf<CommitItem[]>(server.url, '/api/v1/tree/commit-info?path=/a');
  const one = listed.find(({ name }) => name === 'one');
  expect(one?.commit_message).toBe('subject after blank lines');
  expect(Object.keys(one ?? {})).toEqual(['commit_id', 'name', 'content_type', 'commit_message', 'date']);
});

test('latest-commit is the head for the root, and the last change of any other path', async () => {
  const latest = async (path: string) => {
    const { oid, date } = (await ask(server.url, `/api/v1/latest-commit?path=${path}`)).json<
      Record<string, string>
    >();
    return `${oid} ${date}`;
  };
  expect(await latest('/')).toBe(await repository.git(['log', '-1', '--format=%H %ct']));
  for (const path of ['a', 'a/one', 'a/sub', 'a/two', 'a/link', 'b', 'b/evil', 'top', 'grüße/f']) {
    expect(`${path} ${await latest(encodeURIComponent(path))}`).toBe(`${path} ${await lastCommit(path)}`);
  }
  const missing = await ask(server.url, '/api/v1/latest-commit?path=/missing');
  expect(missing.status).toBe(404);
  expect(missing.json<Envelope<null>>()).toEqual({
    req_result: false,
    data: null,
    err_message: 'File not found',
  });
});

test('names of authors and messages in other encodings are decoded', async () => {
  await using legacy = await createGitRepository({ files: { a: '1' } });
  const tree = await legacy.git(['rev-parse', 'HEAD^{tree}']);
  const payload = `tree ${tree}\nauthor J\xfcrgen <j@x> 5 +0000\ncommitter Ren\xe9 <r@x> 7 -0330\nencoding ISO-8859-1\n\nGr\xfc\xdfe\n`;
  await legacy.setHead(await legacy.writeObject('commit', Buffer.from(payload, 'latin1')));
  await using own = await createMegaServer({ repo: legacy.path, port: 0 });
  const answer = await ask(own.url, '/api/v1/latest-commit');
  expect(answer.json()).toEqual({
    oid: legacy.head,
    date: '7',
    short_message: 'Grüße',
    author: 'Jürgen',
    committer: 'René',
    status: 'success',
  });
});
