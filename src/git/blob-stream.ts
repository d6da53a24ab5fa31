// The bytes of one large blob as a stream: a git of its own, so that a slow reader holds up nobody else.
import { Transform, pipeline } from 'node:stream';
import type { TransformCallback } from 'node:stream';
import { spawnError, spawnGit } from './git-command.ts';
import { GitError } from './git-error.ts';
import type { ObjectId } from '../util/types.ts';

/** A part of a blob, in bytes. */
export interface ByteSpan {
  readonly start: number;
  readonly length: number;
}

/** Passes on the bytes of a span, and fails when the input ends before the span does. */
class Span extends Transform {
  #skip: number;
  #left: number;

  constructor(span: ByteSpan) {
    super();
    this.#skip = span.start;
    this.#left = span.length;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    const skipped = Math.min(this.#skip, chunk.length);
    this.#skip -= skipped;
    const part = chunk.subarray(skipped, skipped + this.#left);
    this.#left -= part.length;
    if (part.length > 0) this.push(part);
    if (this.#left === 0) this.push(null);
    done();
  }

  override _flush(done: TransformCallback): void {
    if (this.#left > 0) done(new GitError('failed', 'git ended before it had written the whole blob'));
    else done();
  }
}

/**
 * Streams a span of a blob, with backpressure down to git. The process ends when the stream ends or is destroyed, in
 * whatever state. Errors of git arrive as GitError on the stream. The span is not empty and lies within the blob.
 */
export function createBlobStream(gitDirectory: string, id: ObjectId, span: ByteSpan): Transform {
  const git = spawnGit([`--git-dir=${gitDirectory}`, 'cat-file', 'blob', id]);
  git.child.stdin.end();
  const output = new Span(span);
  git.child.on('error', (error) => output.destroy(spawnError(error)));
  // At the end of the span the rest of the blob may still be on its way; nobody waits for that.
  output.once('end', () => output.destroy());
  output.once('close', () => git.kill());
  pipeline(git.child.stdout, output, () => {
    // The outcome is on `output` already; without this callback it would be thrown as well.
  });
  return output;
}
