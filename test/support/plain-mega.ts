// A Mega server without anything beyond the real one: the recorded shapes over objects in memory.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { EMPTY_TREE_ID, hashObject } from '../../src/util/git-hash.ts';

/** A file: its content and mode. A folder: entries by name (latin1 binary strings). */
export type PlainNode =
  | { readonly mode: string; readonly content: Buffer }
  | { readonly [name: string]: PlainNode };

interface TreeEntry {
  readonly mode: string;
  readonly name: string;
  readonly oid: string;
}

/** A server that runs on 127.0.0.1. */
export interface PlainMega {
  readonly url: string;
  /** All requests: method and URL. */
  readonly requests: string[];
  /** Connections that were opened. */
  readonly connections: number;
  /** Contents of blobs by id. */
  readonly blobs: Map<string, Buffer>;
  /** Payloads of trees by id. */
  readonly trees: Map<string, Buffer>;
  /** Makes a commit of this root the head; returns its id and that of its tree. */
  commit(
    root: PlainNode,
    time: number,
    order?: (entries: TreeEntry[]) => TreeEntry[],
  ): { commit: string; tree: string };
  /** Answers requests before the server does; true: it did. */
  intercept: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined;
  close(): Promise<void>;
}

/** A regular file. */
export const file = (content: string | Buffer, mode = '100644'): PlainNode => ({
  mode,
  content: Buffer.from(content),
});

const isFile = (node: PlainNode): node is { mode: string; content: Buffer } =>
  Buffer.isBuffer(node['content']);

const gitOrder = (entries: TreeEntry[]): TreeEntry[] => {
  const key = ({ mode, name }: TreeEntry): string => (mode === '40000' ? `${name}/` : name);
  return [...entries].sort((a, b) => (key(a) < key(b) ? -1 : 1));
};

/** Starts a server without commits. */
export async function createPlainMega(): Promise<PlainMega> {
  const blobs = new Map<string, Buffer>();
  const trees = new Map<string, Buffer>([[EMPTY_TREE_ID, Buffer.alloc(0)]]);
  const entriesOf = new Map<string, TreeEntry[]>([[EMPTY_TREE_ID, []]]);
  const commits: { id: string; time: number; tree: string }[] = [];
  const requests: string[] = [];
  const sockets = new Set<Socket>();
  let connections = 0;

  function store(node: PlainNode, order: (entries: TreeEntry[]) => TreeEntry[]): TreeEntry {
    if (isFile(node)) {
      const oid = hashObject('blob', node.content);
      blobs.set(oid, node.content);
      return { mode: node.mode, name: '', oid };
    }
    const entries = order(Object.entries(node).map(([name, child]) => ({ ...store(child, order), name })));
    const payload = Buffer.concat(
      entries.map(({ mode, name, oid }) =>
        Buffer.concat([Buffer.from(`${mode} ${name}\0`, 'latin1'), Buffer.from(oid, 'hex')]),
      ),
    );
    const oid = hashObject('tree', payload);
    trees.set(oid, payload);
    entriesOf.set(oid, entries);
    return { mode: '40000', name: '', oid };
  }

  /** The tree at a path, or undefined. */
  function treeAt(path: string, refs: string): string | undefined {
    let tree = refs === '' ? commits.at(-1)?.tree : commits.find(({ id }) => id === refs)?.tree;
    for (const name of path.split('/').filter((part) => part !== '')) {
      const found = entriesOf.get(tree ?? '')?.find((entry) => entry.name === name);
      tree = found?.mode === '40000' ? found.oid : undefined;
    }
    return tree;
  }

  const hashItem = ({ name, mode, oid }: TreeEntry): object => ({
    name: Buffer.from(name, 'latin1').toString('utf8'),
    content_type: mode === '40000' ? 'directory' : 'file',
    oid,
  });

  function contentHash(path: string, refs: string): object[] {
    const entries = entriesOf.get(treeAt(path, refs) ?? '') ?? [];
    const group = (entry: TreeEntry): number => (entry.mode === '40000' ? 0 : 1);
    return [...entries].sort((a, b) => group(a) - group(b) || (a.name < b.name ? -1 : 1)).map(hashItem);
  }

  function dirHash(path: string, refs: string): object[] {
    const cut = path.lastIndexOf('/');
    const parent = entriesOf.get(treeAt(path.slice(0, cut), refs) ?? '') ?? [];
    return parent.filter(({ name, mode }) => mode === '40000' && name === path.slice(cut + 1)).map(hashItem);
  }

  function latestCommit(refs: string): object | undefined {
    const found = refs === '' ? commits.at(-1) : commits.find(({ id }) => id === refs);
    if (found === undefined) return undefined;
    const { id, time } = found;
    return {
      oid: id,
      date: String(time),
      short_message: 'm',
      author: 'mega',
      committer: 'mega',
      status: 'success',
    };
  }

  function sendJson(response: ServerResponse, status: number, value: unknown): void {
    const body = Buffer.from(JSON.stringify(value));
    response
      .writeHead(status, { 'content-type': 'application/json', 'content-length': body.length })
      .end(body);
  }

  const success = (data: unknown): object => ({ req_result: true, data, err_message: '' });
  const failure = (message: string): object => ({ req_result: false, data: null, err_message: message });

  function sendBytes(response: ServerResponse, body: Buffer, name = ''): void {
    response.writeHead(200, {
      'content-type': 'application/octet-stream',
      'content-disposition': `inline; filename="${name}"`,
      'content-length': body.length,
    });
    response.end(response.req.method === 'HEAD' ? undefined : body);
  }

  /** The bytes of a query value: percent-decoding gives bytes, whether they are UTF-8 or not. */
  function queryOf(url: string): Map<string, string> {
    const query = new Map<string, string>();
    for (const part of (url.split('?')[1] ?? '').split('&')) {
      const [name, value = ''] = part.split('=');
      const spaced = value.replaceAll('+', ' ');
      query.set(
        name ?? '',
        spaced.replace(/%([0-9A-Fa-f]{2})/g, (_all, hex: string) =>
          String.fromCharCode(Number.parseInt(hex, 16)),
        ),
      );
    }
    return query;
  }

  function answer(request: IncomingMessage, response: ServerResponse): void {
    const url = request.url ?? '/';
    requests.push(`${request.method} ${url}`);
    if (mega.intercept?.(request, response) === true) return;
    const query = queryOf(url);
    const path = query.get('path') ?? '/';
    const refs = query.get('refs') ?? '';
    const [route] = url.split('?');
    const known = refs === '' || commits.some(({ id }) => id === refs);
    if (route === '/api/v1/tree/content-hash' || route === '/api/v1/tree/dir-hash') {
      if (!known) return sendJson(response, 500, failure('Internal server error'));
      return sendJson(
        response,
        200,
        success(route.endsWith('dir-hash') ? dirHash(path, refs) : contentHash(path, refs)),
      );
    }
    if (route === '/api/v1/latest-commit') {
      const found = latestCommit(refs);
      return found === undefined
        ? sendJson(response, 404, failure('File not found'))
        : sendJson(response, 200, found);
    }
    if (route === '/api/v1/file/tree') {
      const tree = treeAt(path, '');
      const asserted = query.get('oid');
      const matches = tree !== undefined && (asserted === undefined || asserted === tree);
      return sendBytes(response, (matches ? trees.get(tree) : undefined) ?? Buffer.alloc(0));
    }
    if (route?.startsWith('/api/v1/file/blob/') === true) {
      const oid = route.slice('/api/v1/file/blob/'.length);
      const blob = blobs.get(oid);
      if (blob !== undefined) return sendBytes(response, blob, oid);
      return sendJson(
        response,
        404,
        failure(`ObjStorage not found: [obj_missing_in_db_and_s3] Blob ${oid} not found`),
      );
    }
    response.writeHead(404, { 'content-type': 'text/plain; charset=utf-8' }).end('Operation not supported');
  }

  const server = createServer((request, response) => {
    request.resume();
    answer(request, response);
  });
  server.on('connection', (socket) => {
    connections++;
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  const mega: PlainMega = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    get connections() {
      return connections;
    },
    blobs,
    trees,
    intercept: undefined,
    commit(root, time, order = gitOrder) {
      const tree = store(root, order).oid;
      const id = hashObject('commit', Buffer.from(`tree ${tree}\n${time} ${commits.length}\n`));
      commits.push({ id, time, tree });
      return { commit: id, tree };
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
  return mega;
}
