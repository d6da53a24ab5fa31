// How objects are downloaded: answers of the batch route, gathered from callers of the same moment, and kept.
import { LruCache } from '../../util/lru.ts';
import { LfsError } from '../lfs-error.ts';
import type { LfsObject, LfsOid } from '../lfs-object.ts';
import type { BatchRoute } from './batch.ts';
import { abortedError } from './failures.ts';
import type { TransferAction } from './lfs-client.ts';
import { orAborted } from '../../util/or-aborted.ts';

/** Calls within this time share a request. */
const GATHER_MS = 2;

/** The same while a request is under way: whoever comes then is likely to be followed by others. */
const GATHER_BUSY_MS = 25;

const REQUESTS_AT_ONCE = 4;

/** Characters of answers to keep: ten thousand links and more, fewer where they are signed at length. */
const KEPT_CHARACTERS = 8 * 1024 * 1024;

/** What an answer takes beside its link and headers. */
const ANSWER_CHARACTERS = 200;

/** An action that is about to expire is asked for anew: this long before, or a quarter of its life if that is less. */
const EXPIRY_MARGIN_MS = 30_000;

/** Tells how objects are downloaded; see LfsClient. */
export interface Locator {
  locate(
    objects: readonly LfsObject[],
    signal: AbortSignal | undefined,
  ): Promise<ReadonlyMap<LfsOid, TransferAction | LfsError>>;
  forget(oid: LfsOid): void;
}

interface Kept {
  readonly action: TransferAction;
  readonly useUntilMs: number;
}

interface Question {
  readonly object: LfsObject;
  readonly answer: Promise<TransferAction | LfsError>;
  readonly resolve: (answer: TransferAction | LfsError) => void;
  readonly reject: (error: unknown) => void;
}

function weightOf({ action }: Kept): number {
  const headers = Object.entries(action.header).map(([name, value]) => name.length + value.length);
  return headers.reduce((sum, length) => sum + length, ANSWER_CHARACTERS + action.href.length);
}

function questionAbout(object: LfsObject): Question {
  let resolve!: Question['resolve'];
  let reject!: Question['reject'];
  const answer = new Promise<TransferAction | LfsError>((onAnswer, onFailure) => {
    resolve = onAnswer;
    reject = onFailure;
  });
  // All who waited may have given up.
  answer.catch(() => undefined);
  return { object, answer, resolve, reject };
}

/** Asks nothing yet. `closing` ends what is asked. */
export function createLocator(batch: BatchRoute, closing: AbortSignal): Locator {
  return new BatchLocator(batch, closing);
}

class BatchLocator implements Locator {
  readonly #batch: BatchRoute;
  readonly #closing: AbortSignal;
  readonly #kept = new LruCache<LfsOid, Kept>(KEPT_CHARACTERS, weightOf);
  readonly #open = new Map<LfsOid, Question>();
  #waiting: Question[] = [];
  #underWay = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(batch: BatchRoute, closing: AbortSignal) {
    this.#batch = batch;
    this.#closing = closing;
  }

  async locate(
    objects: readonly LfsObject[],
    signal: AbortSignal | undefined,
  ): Promise<ReadonlyMap<LfsOid, TransferAction | LfsError>> {
    const found = new Map<LfsOid, TransferAction | LfsError>();
    const asked: Promise<void>[] = [];
    const now = Date.now();
    for (const object of objects) {
      const known = this.#kept.get(object.oid);
      if (known !== undefined && known.useUntilMs > now) found.set(object.oid, known.action);
      else asked.push(this.#ask(object).then((answer) => void found.set(object.oid, answer)));
    }
    if (asked.length === 0) return found;
    this.#pump(false);
    const whom = objects.length === 1 ? objects[0]?.oid : `${objects.length} objects`;
    const answered = Promise.all(asked).then(() => undefined);
    await orAborted(answered, signal, (aborted) =>
      abortedError(aborted, `asking the LFS server about ${whom}`),
    );
    return found;
  }

  forget(oid: LfsOid): void {
    this.#kept.delete(oid);
  }

  #ask(object: LfsObject): Promise<TransferAction | LfsError> {
    const asked = this.#open.get(object.oid);
    if (asked !== undefined) return asked.answer;
    const question = questionAbout(object);
    this.#open.set(object.oid, question);
    this.#waiting.push(question);
    return question.answer;
  }

  /** Sends what waits: full requests at once, others when their time has come. */
  #pump(isDue: boolean): void {
    while (this.#waiting.length > 0 && this.#underWay < REQUESTS_AT_ONCE) {
      if (!isDue && this.#waiting.length < this.#batch.maxObjects) break;
      const part = this.#waiting.slice(0, this.#batch.maxObjects);
      this.#waiting = this.#waiting.slice(part.length);
      void this.#send(part);
    }
    if (this.#waiting.length === 0) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
    } else if (this.#underWay < REQUESTS_AT_ONCE) {
      this.#timer ??= setTimeout(
        () => {
          this.#timer = undefined;
          this.#pump(true);
        },
        this.#underWay === 0 ? GATHER_MS : GATHER_BUSY_MS,
      );
    }
  }

  async #send(questions: readonly Question[]): Promise<void> {
    const askedAtMs = Date.now();
    this.#underWay++;
    try {
      const objects = questions.map(({ object: { oid, size } }) => ({ oid, size }));
      const asked = { operation: 'download' as const, objects, transfers: ['basic'] };
      const answer = await this.#batch.ask(asked, this.#closing);
      for (const { object, resolve } of questions) {
        const found = answer.objects.get(object.oid);
        if (found === undefined || found instanceof LfsError || found.download === undefined) {
          const reason = `the LFS server names no way to download ${object.oid}`;
          resolve(found instanceof LfsError ? found : new LfsError('server', reason));
        } else {
          this.#keep(object.oid, found.download, askedAtMs);
          resolve(found.download);
        }
      }
    } catch (error) {
      for (const { reject } of questions) reject(error);
    } finally {
      this.#underWay--;
      for (const { object } of questions) this.#open.delete(object.oid);
      this.#pump(true);
    }
  }

  #keep(oid: LfsOid, action: TransferAction, askedAtMs: number): void {
    const { expiresAtMs } = action;
    const margin = Math.min(EXPIRY_MARGIN_MS, ((expiresAtMs ?? Infinity) - askedAtMs) / 4);
    const useUntilMs = (expiresAtMs ?? Infinity) - margin;
    if (useUntilMs > Date.now()) this.#kept.set(oid, { action, useUntilMs });
  }
}
