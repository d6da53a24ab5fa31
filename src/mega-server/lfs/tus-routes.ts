// The tus protocol as git-lfs speaks it: HEAD asks how far an upload has come, PATCH goes on with it.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { isLfsOid, type LfsObject } from '../../lfs/lfs-object.ts';
import { queryOf } from '../query.ts';
import type { LfsAccess } from './access.ts';
import { LfsRequestError } from './lfs-answer.ts';
import { LFS_PREFIXES } from './lfs-url.ts';
import type { ResumableUploads } from './resumable-uploads.ts';
import { uploadBody } from './upload-body.ts';

/** Parameters of the routes of an object. */
export interface ObjectParams {
  readonly Params: { readonly oid: string };
}

type ObjectRequest = FastifyRequest<ObjectParams>;

const VERSION = '1.0.0';
const CONTENT_TYPE = 'application/offset+octet-stream';

/** Whether a request is about an upload, rather than about the object. */
export function isTusRequest(request: FastifyRequest): boolean {
  return request.headers['tus-resumable'] !== undefined;
}

/** Answers how far an upload has come. */
export async function sendUploadOffset(
  request: ObjectRequest,
  reply: FastifyReply,
  uploads: ResumableUploads,
): Promise<FastifyReply> {
  const object = uploadOf(request);
  const offset = await uploads.offset(object);
  return reply
    .headers({
      'tus-resumable': VERSION,
      'upload-offset': offset,
      'upload-length': object.size,
      'cache-control': 'no-store',
    })
    .send();
}

/** Registers what goes on with uploads. The scope must leave bodies alone. */
export function registerTusRoutes(app: FastifyInstance, uploads: ResumableUploads, access: LfsAccess): void {
  for (const prefix of LFS_PREFIXES) {
    app.patch<ObjectParams>(`${prefix}/objects/:oid`, async (request, reply) => {
      const object = uploadOf(request);
      access.checkObject(request, object.oid);
      if (request.headers['content-type'] !== CONTENT_TYPE) {
        throw new LfsRequestError(415, `the content type must be ${CONTENT_TYPE}`);
      }
      const offset = numberOf(request.headers['upload-offset'], 'Upload-Offset');
      const end = await uploads.append(object, offset, uploadBody(request));
      return reply.code(204).headers({ 'tus-resumable': VERSION, 'upload-offset': end }).send();
    });
  }
}

function uploadOf(request: ObjectRequest): LfsObject {
  if (request.headers['tus-resumable'] !== VERSION) {
    throw new LfsRequestError(412, `Tus-Resumable must be ${VERSION}`);
  }
  const { oid } = request.params;
  if (!isLfsOid(oid)) throw new LfsRequestError(422, 'not a SHA-256 of 64 lower-case hexadecimal digits');
  return { oid, size: numberOf(queryOf(request.raw.url)['size'], 'size') };
}

function numberOf(text: string | string[] | undefined, name: string): number {
  if (typeof text !== 'string' || !/^\d{1,15}$/u.test(text)) {
    throw new LfsRequestError(400, `${name} must be a number`);
  }
  return Number(text);
}
