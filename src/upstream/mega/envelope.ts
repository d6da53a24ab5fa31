// Mega's JSON: the envelope around every answer, and the shapes inside it.
import { isObjectId } from '../../util/git-hash.ts';
import type { ObjectId } from '../../util/types.ts';
import { badAnswer } from './attempt-error.ts';
import type { MegaReply } from './mega-http.ts';

/** What an envelope holds. */
export type Envelope =
  | { readonly ok: true; readonly data: unknown }
  | { readonly ok: false; readonly message: string };

/** An entry of a listing. The name is a latin1 binary string. */
export interface HashedEntry {
  readonly name: string;
  readonly isDirectory: boolean;
  readonly oid: ObjectId;
}

/** The record of a JSON object, or undefined for anything else. */
export function asRecord(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}

/** The JSON of a reply. Throws an AttemptError that is worth a repeat. */
export function parseJson(reply: MegaReply): unknown {
  try {
    return JSON.parse(reply.body.toString('utf8'));
  } catch {
    throw badAnswer('it is not JSON');
  }
}

/** The envelope of a value, or undefined when it is none. */
export function asEnvelope(value: unknown): Envelope | undefined {
  const record = asRecord(value);
  if (record?.['req_result'] === true) return { ok: true, data: record['data'] };
  if (record?.['req_result'] !== false) return undefined;
  const message = record['err_message'];
  return { ok: false, message: typeof message === 'string' ? message : '' };
}

/** The data of a reply that must be a success. Throws an AttemptError that is worth a repeat. */
export function envelopeData(reply: MegaReply): unknown {
  const envelope = asEnvelope(parseJson(reply));
  if (envelope === undefined) throw badAnswer('it is not in the form of Mega');
  if (!envelope.ok) throw badAnswer(`it reports a failure: ${envelope.message}`);
  return envelope.data;
}

/** The entries of `content-hash` and `dir-hash`. Throws an AttemptError that is worth a repeat. */
export function parseHashedEntries(reply: MegaReply): HashedEntry[] {
  const data = envelopeData(reply);
  if (!Array.isArray(data)) throw badAnswer('it is no list of entries');
  return data.map((item: unknown) => {
    const { name, content_type: type, oid } = asRecord(item) ?? {};
    if (typeof name !== 'string' || !isObjectId(oid) || (type !== 'directory' && type !== 'file')) {
      throw badAnswer('an entry of the listing lacks its name, type or id');
    }
    return { name: Buffer.from(name, 'utf8').toString('latin1'), isDirectory: type === 'directory', oid };
  });
}

/** Id and time (seconds) of `latest-commit`, which has no envelope. Throws an AttemptError worth a repeat. */
export function parseLatestCommit(reply: MegaReply): { oid: ObjectId; time: number } {
  const record = asRecord(parseJson(reply)) ?? {};
  const { oid, date } = record;
  if (!isObjectId(oid)) throw badAnswer('the latest commit has no id');
  const time = Number(date);
  return { oid, time: Number.isSafeInteger(time) ? time : 0 };
}
