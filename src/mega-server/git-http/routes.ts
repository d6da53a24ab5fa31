// Git's smart HTTP for reading: `<path>.git/info/refs` and `<path>.git/git-upload-pack` for any folder.
//
// The root of a clone is the folder. The clone of the whole repository has its real history; that of a folder has, as
// with Mega, one commit without parents, with author, committer and message of the head.
import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { encodeParentlessCommit } from '../../git/raw-commit.ts';
import { kindOfMode } from '../../git/raw-tree.ts';
import type { ObjectId } from '../../util/types.ts';
import { RequestError, sendText } from '../envelope.ts';
import { decodePathBytes, parsePath, queryOf } from '../query.ts';
import type { RepositoryView } from '../repository-view.ts';
import { sendStream } from '../send-blob.ts';
import { CloneRepositories, type CloneRepository } from './clone-repository.ts';
import { UploadPack } from './upload-pack.ts';

const SERVICE = 'git-upload-pack';
const REQUEST_TYPE = 'application/x-git-upload-pack-request';
const COMMIT_BYTES_MAX = 4 * 1024 * 1024;
const NO_CACHE = { 'cache-control': 'no-cache, max-age=0, must-revalidate' };

/** Adds the routes; what they need is closed with the app. */
export function registerGitRoutes(app: FastifyInstance, view: RepositoryView): void {
  const clones = new CloneRepositories(view.objects.gitDirectory);
  const uploadPack = new UploadPack();
  app.addHook('onClose', async () => {
    uploadPack.close();
    clones.close();
  });
  app.addContentTypeParser(REQUEST_TYPE, (_request, payload, done) => done(null, payload));

  app.route({
    method: 'GET',
    url: '/*',
    exposeHeadRoute: false,
    handler: async (request, reply) => {
      const path = pathBefore(request, '/info/refs');
      if (path === undefined) return notSupported(reply);
      const service = queryOf(request.raw.url)['service'];
      if (service !== SERVICE) {
        throw new RequestError(403, `this server does not serve ${service ?? 'the dumb protocol'} here`);
      }
      const protocol = protocolOf(request);
      const refs = await uploadPack.advertise(await repositoryAt(view, clones, path), protocol);
      const isVersion2 = protocol?.includes('version=2') === true;
      const start = isVersion2 ? '' : `001e# service=${SERVICE}\n0000`;
      return reply
        .headers({ ...NO_CACHE, 'content-type': `application/x-${SERVICE}-advertisement` })
        .send(Buffer.concat([Buffer.from(start), refs]));
    },
  });

  app.post('/*', async (request, reply) => {
    const path = pathBefore(request, `/${SERVICE}`);
    if (path === undefined) return notSupported(reply);
    const type = request.headers['content-type'];
    if (type !== REQUEST_TYPE) throw new RequestError(415, `the content type must be ${REQUEST_TYPE}`);
    const repository = await repositoryAt(view, clones, path);
    const isCompressed = /^(?:x-)?gzip$/u.test(request.headers['content-encoding'] ?? '');
    const answer = uploadPack.serve(repository, protocolOf(request), request.body as Readable, isCompressed);
    reply.headers({ ...NO_CACHE, 'content-type': `application/x-${SERVICE}-result` });
    return sendStream(reply, answer);
  });
}

function notSupported(reply: FastifyReply): FastifyReply {
  return sendText(reply, 404, 'Operation not supported');
}

/** The names of the folder that a URL is about, or undefined when the URL ends otherwise. */
function pathBefore(request: FastifyRequest, suffix: string): readonly string[] | undefined {
  const [url = ''] = (request.raw.url ?? '').split('?', 1);
  if (!url.endsWith(suffix)) return undefined;
  return parsePath(decodePathBytes(url.slice(0, -suffix.length)));
}

/** The version of the protocol that the client asks for; it goes into the environment of git. */
function protocolOf(request: FastifyRequest): string | undefined {
  const value = request.headers['git-protocol'];
  return typeof value === 'string' && /^[\w=:.-]{1,100}$/u.test(value) ? value : undefined;
}

async function repositoryAt(
  view: RepositoryView,
  clones: CloneRepositories,
  path: readonly string[],
): Promise<CloneRepository> {
  const root = await view.root('');
  const tree = await treeAt(view, root.tree, path);
  if (tree === root.tree) return clones.at(root.commit);
  const head = await view.objects.read(root.commit, 'commit', COMMIT_BYTES_MAX);
  if (head === undefined) throw new RequestError(404, `Not Found error: commit ${root.commit} not found`);
  return clones.at(await clones.addCommit(encodeParentlessCommit(head, tree)));
}

/** The folder without `.git` at the end of its last name; where there is none, a folder with that name. */
async function treeAt(view: RepositoryView, root: ObjectId, path: readonly string[]): Promise<ObjectId> {
  const last = path.at(-1) ?? '';
  const bare = last.endsWith('.git') ? [...path.slice(0, -1), last.slice(0, -'.git'.length)] : path;
  for (const names of [bare.filter((name) => name !== ''), path]) {
    const entry = await view.entryAt(root, names);
    if (entry !== undefined && kindOfMode(entry.mode) === 'directory') return entry.id;
  }
  throw new RequestError(404, `Repository not found: there is no folder ${path.join('/')}`);
}
