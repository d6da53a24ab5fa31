// Routes of objects: batch, download, upload, verify.
import type { FastifyInstance } from 'fastify';
import { isLfsOid } from '../../lfs/lfs-object.ts';
import type { LfsAccess } from './access.ts';
import type { LfsBatch } from './batch.ts';
import { LfsRequestError, sendLfs } from './lfs-answer.ts';
import { LFS_PREFIXES, lfsBaseOf } from './lfs-url.ts';
import type { LfsObjectStore } from './object-store.ts';
import type { ResumableUploads } from './resumable-uploads.ts';
import { sendObject } from './send-object.ts';
import { isTusRequest, type ObjectParams, sendUploadOffset } from './tus-routes.ts';
import { uploadBody } from './upload-body.ts';

/** What the routes work with. */
export interface ObjectRouteParts {
  readonly store: LfsObjectStore;
  readonly uploads: ResumableUploads;
  readonly batch: LfsBatch;
  readonly access: LfsAccess;
  readonly publicUrl: string | undefined;
}

const BATCH_BODY_BYTES = 1024 * 1024;

/** Registers the routes whose requests are JSON. */
export function registerBatchRoutes(app: FastifyInstance, parts: ObjectRouteParts): void {
  const { store, batch, access, publicUrl } = parts;
  for (const prefix of LFS_PREFIXES) {
    app.post(`${prefix}/objects/batch`, { bodyLimit: BATCH_BODY_BYTES }, async (request, reply) => {
      access.userOf(request);
      const base = lfsBaseOf(request, publicUrl);
      return sendLfs(reply, 200, await batch.answer(request.body, { base }));
    });

    app.post(`${prefix}/objects/verify`, async (request, reply) => {
      const { oid, size } = (request.body ?? {}) as { oid?: unknown; size?: unknown };
      const wanted = checkOid(oid);
      access.checkObject(request, wanted);
      const stored = await store.size(wanted);
      if (stored === undefined) throw new LfsRequestError(404, `LFS object not found: ${wanted}`);
      if (stored !== size) throw new LfsRequestError(422, `${wanted} has ${stored} bytes`);
      return sendLfs(reply, 200, { oid, size });
    });
  }
}

/** Registers the routes of the bytes themselves. The scope must leave bodies alone. */
export function registerContentRoutes(app: FastifyInstance, parts: ObjectRouteParts): void {
  const { store, uploads, batch, access } = parts;
  for (const prefix of LFS_PREFIXES) {
    app.route<ObjectParams>({
      method: ['GET', 'HEAD'],
      url: `${prefix}/objects/:oid`,
      exposeHeadRoute: false,
      handler: async (request, reply) => {
        const oid = checkOid(request.params.oid);
        access.checkObject(request, oid);
        return isTusRequest(request)
          ? sendUploadOffset(request, reply, uploads)
          : sendObject(request, reply, store, oid);
      },
    });

    app.put<ObjectParams>(`${prefix}/objects/:oid`, async (request, reply) => {
      const oid = checkOid(request.params.oid);
      access.checkObject(request, oid);
      const length = request.headers['content-length'];
      const announced = batch.announcedSize(oid);
      if (length !== undefined && announced !== undefined && Number(length) !== announced) {
        throw new LfsRequestError(422, `${oid} was announced with ${announced} bytes, not ${length}`);
      }
      await store.receive(oid, announced, uploadBody(request));
      return sendLfs(reply, 200, {});
    });
  }
}

function checkOid(oid: unknown): string {
  if (typeof oid === 'string' && isLfsOid(oid)) return oid;
  throw new LfsRequestError(422, 'not a SHA-256 of 64 lower-case hexadecimal digits');
}
