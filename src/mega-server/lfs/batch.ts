// POST /objects/batch: where objects are to be had, and where they are to be sent to.
import { isLfsOid, type LfsObject, type LfsOid } from '../../lfs/lfs-object.ts';
import { LruCache } from '../../util/lru.ts';
import type { LfsAccess } from './access.ts';
import { LfsRequestError } from './lfs-answer.ts';
import type { LfsObjectStore } from './object-store.ts';

/** Objects in one request; with more the client is asked to send fewer (413). */
const BATCH_OBJECTS_MAX = 1000;
/** Sizes that were announced for uploads; an upload whose announcement was forgotten has its hash checked alone. */
const ANNOUNCED_MAX = 100_000;

/** How links are made. */
export interface BatchOptions {
  /** The client is to say when it has uploaded (POST /objects/verify). */
  readonly asksToVerify: boolean;
}

/** Scheme, host and prefix of links. */
interface BatchCaller {
  readonly base: string;
}

interface BatchRequest {
  readonly operation: 'download' | 'upload';
  readonly isResumable: boolean;
  readonly objects: readonly AskedObject[];
}

/** As it came, unchecked. */
interface AskedObject {
  readonly oid: unknown;
  readonly size: unknown;
}

/** Answers batch requests, and remembers the sizes that uploads are to have. */
export class LfsBatch {
  readonly #store: LfsObjectStore;
  readonly #access: LfsAccess;
  readonly #options: BatchOptions;
  readonly #announced = new LruCache<LfsOid, number>(ANNOUNCED_MAX);

  constructor(store: LfsObjectStore, access: LfsAccess, options: BatchOptions) {
    this.#store = store;
    this.#access = access;
    this.#options = options;
  }

  /** The size with which an upload was announced; undefined where it was not, or long ago. */
  announcedSize(oid: LfsOid): number | undefined {
    return this.#announced.get(oid);
  }

  /**
   * The body of the answer. What is wrong with one object is told there.
   *
   * @throws LfsRequestError when the request as a whole makes no sense
   */
  async answer(body: unknown, caller: BatchCaller): Promise<unknown> {
    const request = parseBatch(body);
    const isTus = request.isResumable && request.operation === 'upload';
    const objects: unknown[] = [];
    for (const object of request.objects) {
      objects.push(
        isLfsObject(object)
          ? await this.#object(object, request.operation, { ...caller, isTus })
          : failed(object, 422, 'not a SHA-256 of 64 lower-case hexadecimal digits, or no size'),
      );
    }
    return { transfer: isTus ? 'tus' : 'basic', objects, hash_algo: 'sha256' };
  }

  async #object(
    object: LfsObject,
    operation: BatchRequest['operation'],
    caller: BatchCaller & { readonly isTus: boolean },
  ): Promise<unknown> {
    const { oid, size } = object;
    const stored = await this.#store.size(oid);
    if (stored !== undefined && stored !== size) {
      return failed(object, 422, `the object has ${stored} bytes`);
    }
    const endMs = this.#access.linkEnd();
    const link = (path: string) => ({
      href: `${caller.base}/objects/${path}`,
      header: { Accept: 'application/vnd.git-lfs', ...this.#access.linkHeaders(oid, endMs) },
      expires_at: new Date(endMs).toISOString().replace('Z', '000000+00:00'),
    });
    if (operation === 'download') {
      if (stored === undefined) return failed(object, 404, 'Not found');
      return { oid, size, authenticated: true, actions: { download: link(oid) } };
    }
    if (stored !== undefined) return { oid, size, authenticated: true };
    this.#announced.set(oid, size);
    const verify = this.#options.asksToVerify ? { verify: link('verify') } : {};
    return {
      oid,
      size,
      authenticated: true,
      // A part that arrived is found again by the size, also after a restart.
      actions: { upload: link(caller.isTus ? `${oid}?size=${size}` : oid), ...verify },
    };
  }
}

function parseBatch(body: unknown): BatchRequest {
  const { operation, objects, transfers, hash_algo: algorithm } = (body ?? {}) as Record<string, unknown>;
  if (operation !== 'download' && operation !== 'upload') {
    throw new LfsRequestError(422, 'operation must be "download" or "upload"');
  }
  if (algorithm !== undefined && algorithm !== 'sha256') {
    throw new LfsRequestError(409, 'only the hash algorithm sha256 is supported');
  }
  if (!Array.isArray(objects)) throw new LfsRequestError(422, 'objects must be a list');
  if (objects.length > BATCH_OBJECTS_MAX) {
    throw new LfsRequestError(
      413,
      `${objects.length} objects in one request; at most ${BATCH_OBJECTS_MAX} are allowed`,
    );
  }
  return {
    operation,
    isResumable: Array.isArray(transfers) && transfers.includes('tus'),
    objects: objects.map((object: unknown) => {
      const { oid, size } = (object ?? {}) as Record<string, unknown>;
      return { oid, size };
    }),
  };
}

function isLfsObject(object: AskedObject): object is LfsObject {
  const { oid, size } = object;
  return typeof oid === 'string' && isLfsOid(oid) && Number.isSafeInteger(size) && Number(size) >= 0;
}

function failed(object: AskedObject, code: number, message: string): unknown {
  return { ...object, error: { code, message } };
}
