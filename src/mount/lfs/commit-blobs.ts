// The blob to commit for a changed path: a pointer, once the server has what it points to; else the content.
import { fstatSync } from 'node:fs';
import { setImmediate as yieldTurn } from 'node:timers/promises';
import type { LfsObject, LfsOid } from '../../lfs/lfs-object.ts';
import { formatPointer } from '../../lfs/pointer.ts';
import type { LayerEntry } from '../../layers/layer.ts';
import { closeFd } from '../../util/syscall.ts';
import { UpperChanges } from '../../overlay/upper-changes.ts';
import { MountError } from '../mount-error.ts';
import { isRegular, type MergedObject, mergedObject } from '../merged-changes.ts';
import { identityOf, statOf } from './content-hashes.ts';
import type { LargeChange, LargeChanges } from './large-changes.ts';
import { type LowerPointers, readPointer } from './lower-pointers.ts';
import { type MountContent, shown } from './mount-content.ts';
import type { CommitBlob } from './mount-lfs.ts';
import type { MountLfsParts } from './mount-lfs-parts.ts';
import { selectedPaths } from './selection.ts';
import type { UploadedObjects } from './uploaded-objects.ts';
import { orAborted } from '../../util/or-aborted.ts';

/** What it needs. */
export interface CommitBlobParts extends Pick<MountLfsParts, 'server' | 'layer' | 'plain' | 'upperDir'> {
  readonly changes: LargeChanges;
  readonly content: MountContent;
  readonly lower: LowerPointers;
  readonly uploaded: UploadedObjects;
}

/** Makes blobs. */
export interface CommitBlobs {
  /** See MountLfs.commitBlob; rejects with MountError and LfsError. */
  blob(path: string, signal: AbortSignal): Promise<CommitBlob>;
}

/** Makes it. */
export function createCommitBlobs(parts: CommitBlobParts): CommitBlobs {
  return new Blobs(parts);
}

class Blobs implements CommitBlobs {
  readonly #parts: CommitBlobParts;
  readonly #upper: UpperChanges;
  /** Objects that the server is about to be asked for: those of the same moment share a request. */
  #asking: { readonly objects: Map<LfsOid, LfsObject>; readonly answer: Promise<void> } | undefined;

  constructor(parts: CommitBlobParts) {
    this.#parts = parts;
    this.#upper = new UpperChanges(parts.upperDir);
  }

  async blob(wanted: string, signal: AbortSignal): Promise<CommitBlob> {
    const [path = ''] = selectedPaths({ paths: [wanted] });
    const { plain, changes } = this.#parts;
    const after = await mergedObject(plain, this.#upper, path, signal);
    if (after === undefined || !isRegular(after.upper?.mode ?? after.lower?.mode ?? 0)) {
      throw new MountError('not-found', `${shown(path)}: the mount has no such file`);
    }
    const before = await plain.resolve(path, { signal });
    const change = await changes.look({ path, before, after }, signal);
    if (after.lower !== undefined && (change === undefined || change.content?.kind === 'committed')) {
      return this.#committed(after.lower, change, signal);
    }
    if (change === undefined || !change.isLfs) return this.#content(path, after, signal);
    return this.#pointer(change, after, signal);
  }

  /** A file whose content the commit has, as it is or by a pointer. */
  async #committed(
    entry: LayerEntry,
    change: LargeChange | undefined,
    signal: AbortSignal,
  ): Promise<CommitBlob> {
    const { layer, lower, plain } = this.#parts;
    const pointer = change?.content?.kind === 'committed' ? change.content.pointer : undefined;
    if (pointer === undefined) return contentOf(await plain.open(entry, { signal }));
    // What was moved to where nothing marks it becomes an ordinary file.
    if (change?.isLfs !== true) return contentOf(await layer.open(entry, { signal }));
    // As it is, also where another program wrote it in another way: then it is the same blob.
    return { kind: 'pointer', content: await lower.read(entry, signal), ...pointer };
  }

  async #content(path: string, { lower }: MergedObject, signal: AbortSignal): Promise<CommitBlob> {
    if (lower !== undefined) return contentOf(await this.#parts.layer.open(lower, { signal }));
    return contentOf(this.#parts.content.open(path));
  }

  async #pointer(change: LargeChange, after: MergedObject, signal: AbortSignal): Promise<CommitBlob> {
    const { content } = this.#parts;
    const { path } = change;
    const { oid, size, identity } = await content.object(change, { signal });
    // An empty file is its own pointer.
    if (size === 0) return this.#content(path, after, signal);
    if (oid !== change.before?.oid) await this.#requireOnServer(path, { oid, size }, signal);
    if (change.content?.kind !== 'pointer') {
      // Whoever wrote to it meanwhile has to push again.
      if (identity !== undefined) closeFd(content.openAs(path, identity));
      return { kind: 'pointer', content: formatPointer({ oid, size }), oid, size };
    }
    const fd = content.openAs(path, identity ?? '');
    try {
      const text = readPointer(fd);
      if (identityOf(statOf(fd)) !== identity) throw new MountError('invalid', changed(path));
      return { kind: 'pointer', content: Buffer.from(text), oid, size };
    } finally {
      closeFd(fd);
    }
  }

  async #requireOnServer(path: string, object: LfsObject, signal: AbortSignal): Promise<void> {
    const { server, uploaded } = this.#parts;
    await uploaded.ready();
    const url = server.url;
    if (url !== undefined && uploaded.isFresh(url, object.oid)) return;
    await this.#ask(object, signal);
    if (server.url !== undefined && uploaded.isFresh(server.url, object.oid)) return;
    throw new MountError(
      'invalid',
      `${shown(path)}: the LFS server does not have its content (${object.oid}); push it first: scorpio lfs push`,
    );
  }

  async #ask(object: LfsObject, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    let asking = this.#asking;
    if (asking === undefined) {
      const objects = new Map<LfsOid, LfsObject>();
      asking = { objects, answer: this.#askAll(objects) };
      this.#asking = asking;
    }
    asking.objects.set(object.oid, object);
    await orAborted(asking.answer, signal, ({ reason }) => reason as unknown);
  }

  /** Asks for what is collected until everybody had a turn. One caller that gives up must not end it for the others. */
  async #askAll(objects: ReadonlyMap<LfsOid, LfsObject>): Promise<void> {
    const { server, uploaded } = this.#parts;
    await yieldTurn();
    this.#asking = undefined;
    const client = await server.client();
    const present = await client.present([...objects.values()]);
    for (const oid of objects.keys()) {
      if (present.has(oid)) uploaded.add(client.url, oid);
      else uploaded.remove(client.url, oid);
    }
  }
}

function contentOf(fd: number): CommitBlob {
  return { kind: 'content', fd, size: fstatSync(fd).size };
}

function changed(path: string): string {
  return `${shown(path)} was changed meanwhile; push it again`;
}
