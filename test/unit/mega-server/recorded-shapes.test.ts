// Answers byte for byte as the real Mega gives them for a fresh monorepo, whose trees are not in Git's order.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ask } from './support.ts';
import { createMegaServer } from '../../../src/mega-server/mega-server.ts';
import type { MegaServer } from '../../../src/mega-server/mega-server.ts';
import { encodeRawTree } from '../../../src/git/raw-tree.ts';
import { createGitRepository } from '../../support/git-repository.ts';
import type { GitRepository } from '../../support/git-repository.ts';

const FOLDERS = {
  'third-party': '0a24de4fc3869f9e9baa8b3e32f8919aa516f312',
  project: 'a7939183ed75c8456773e8a6e26ead82be669e7a',
  doc: 'f7510c00b6df22ca2995309193f9e7ffcea99f2c',
  release: 'b242a832e6839d0751fd6b6b14a2802a1f5e4c79',
  model: 'e4f78f0c243cdb5e437611d92fb98a06a46b7465',
  toolchains: '77d9b673b9a0dea755ddeb7aad33e795e6c353e3',
};
const BUCK = '9e740dde55dacc0d6ac91d6d4ed1b98c8e32bc76';
const EMPTY = 'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391';

let repository: GitRepository;
let server: MegaServer;
let rootTree: string;
let cedarTree: string;
let jsonBlob: string;
let configBlob: string;

beforeAll(async () => {
  repository = await createGitRepository();
  const entries = [];
  for (const [name, id] of Object.entries(FOLDERS)) {
    const placeholder = await repository.writeObject('blob', `Placeholder file for /${name} directory`);
    const files = [{ mode: 0o100644, name: '.gitkeep', id: placeholder }];
    if (name === 'toolchains') files.push({ mode: 0o100644, name: 'BUCK', id: BUCK });
    expect(await repository.writeObject('tree', encodeRawTree(files))).toBe(id);
    entries.push({ mode: 0o40000, name, id });
  }
  jsonBlob = await repository.writeObject('blob', '{}');
  configBlob = await repository.writeObject('blob', '[buildfile]\n');
  await repository.writeObject('blob', '');
  const policies = { mode: 0o100644, name: 'policies.cedar', id: configBlob };
  cedarTree = await repository.writeObject('tree', encodeRawTree([policies]));
  entries.push(
    { mode: 0o100644, name: '.mega_cedar.json', id: jsonBlob },
    { mode: 0o40000, name: '.cedar', id: cedarTree },
    { mode: 0o100644, name: '.buckroot', id: EMPTY },
    { mode: 0o100644, name: '.buckconfig', id: configBlob },
  );
  rootTree = await repository.writeObject('tree', encodeRawTree(entries));
  const who = 'mega <admin@mega.org> 1753329630 +0800';
  const commit = `tree ${rootTree}\nauthor ${who}\ncommitter ${who}\n\nInit Mega Directory`;
  await repository.setHead(await repository.writeObject('commit', commit));
  server = await createMegaServer({ repo: repository.path, port: 0 });
});

afterAll(async () => {
  await server.close();
  await repository.remove();
});

async function textOf(target: string): Promise<string> {
  const answer = await ask(server.url, target);
  expect(answer.status).toBe(200);
  expect(answer.headers['content-type']).toBe('application/json');
  return answer.body.toString('utf8');
}

test('content-hash of a folder is the recorded text', async () => {
  expect(await textOf('/api/v1/tree/content-hash?path=/toolchains')).toBe(
    '{"req_result":true,"data":[' +
      '{"name":".gitkeep","content_type":"file","oid":"59ce1f3236ea2d3a17b4ea833cca8f236e9a6e8a"},' +
      `{"name":"BUCK","content_type":"file","oid":"${BUCK}"}],"err_message":""}`,
  );
});

test('content-hash of the root has folders first, each kind in the order of bytes', async () => {
  const directory = (name: string, oid: string) =>
    `{"name":"${name}","content_type":"directory","oid":"${oid}"}`;
  const file = (name: string, oid: string) => `{"name":"${name}","content_type":"file","oid":"${oid}"}`;
  expect(await textOf('/api/v1/tree/content-hash')).toBe(
    `{"req_result":true,"data":[${[
      directory('.cedar', cedarTree),
      directory('doc', FOLDERS.doc),
      directory('model', FOLDERS.model),
      directory('project', FOLDERS.project),
      directory('release', FOLDERS.release),
      directory('third-party', FOLDERS['third-party']),
      directory('toolchains', FOLDERS.toolchains),
      file('.buckconfig', configBlob),
      file('.buckroot', EMPTY),
      file('.mega_cedar.json', jsonBlob),
    ].join(',')}],"err_message":""}`,
  );
});

test('dir-hash is the recorded text', async () => {
  expect(await textOf('/api/v1/tree/dir-hash?path=/doc')).toBe(
    '{"req_result":true,"data":[{"name":"doc","content_type":"directory","oid":"f7510c00b6df22ca2995309193f9e7ffcea99f2c"}],"err_message":""}',
  );
});

test('a raw tree is the recorded payload', async () => {
  const answer = await ask(server.url, '/api/v1/file/tree?path=/doc');
  expect(answer.body.toString('hex')).toBe(
    '313030363434202e6769746b656570004faf56fa3768353248a1658ce71029e00cda7983',
  );
  expect(answer.headers['content-type']).toBe('application/octet-stream');
  expect(answer.headers['content-disposition']).toBe('inline; filename=""');
  const root = await ask(server.url, '/api/v1/file/tree?path=/');
  expect(root.body).toEqual(await repository.gitBytes(['cat-file', 'tree', rootTree]));
});

test('the brief tree has the ancestors and keeps the stored order', async () => {
  expect(await textOf('/api/v1/tree?path=/toolchains')).toBe(
    '{"req_result":true,"data":{"file_tree":{"/":{"tree_items":[' +
      [...Object.keys(FOLDERS), '.mega_cedar.json', '.cedar', '.buckroot', '.buckconfig']
        .map((name) => {
          const type = name in FOLDERS || name === '.cedar' ? 'directory' : 'file';
          return `{"name":"${name}","path":"/${name}","content_type":"${type}"}`;
        })
        .join(',') +
      '],"total_count":10}},"tree_items":[' +
      '{"name":".gitkeep","path":"/toolchains/.gitkeep","content_type":"file"},' +
      '{"name":"BUCK","path":"/toolchains/BUCK","content_type":"file"}]},"err_message":""}',
  );
});

test('the latest commit comes without an envelope', async () => {
  expect(await textOf('/api/v1/latest-commit')).toBe(
    `{"oid":"${repository.head}","date":"1753329630","short_message":"Init Mega Directory","author":"mega","committer":"mega","status":"success"}`,
  );
});

test('commit-info has the recorded fields', async () => {
  expect(await textOf('/api/v1/tree/commit-info?path=/doc')).toBe(
    `{"req_result":true,"data":[{"commit_id":"${repository.head}","name":".gitkeep","content_type":"file","commit_message":"Init Mega Directory","date":"1753329630"}],"err_message":""}`,
  );
});

test('status, path-can-clone and unknown routes answer as recorded', async () => {
  expect(await textOf('/api/v1/status')).toBe('"http ready"');
  const canClone = '{"req_result":true,"data":true,"err_message":""}';
  expect(await textOf('/api/v1/tree/path-can-clone?path=/no/such')).toBe(canClone);
  for (const target of ['/', '/nothing/here', '/api/v1/nothing', '/api/v1/%zz', '/api/v1/file/blob/']) {
    const answer = await ask(server.url, target);
    expect([target, answer.status, answer.body.toString('utf8')]).toEqual([
      target,
      404,
      'Operation not supported',
    ]);
    expect(answer.headers['content-type']).toMatch(/^text\/plain/);
  }
});

test('a blob that a tree names but nobody has is the recorded error', async () => {
  const answer = await ask(server.url, `/api/v1/file/blob/${BUCK}`);
  expect(answer.status).toBe(404);
  expect(answer.body.toString('utf8')).toBe(
    `{"req_result":false,"data":null,"err_message":"ObjStorage not found: [obj_missing_in_db_and_s3] Blob ${BUCK} not found in both object storage and metadata (likely never written or invalid request)"}`,
  );
});
