// Hashes what goes into a sink, unless the sink does so itself.
import { createObjectHasher } from '../../util/git-hash.ts';
import type { ObjectHasher } from '../../util/git-hash.ts';
import type { BlobSink } from '../upstream.ts';

/**
 * A hasher for a blob of `size` bytes that go into `sink`, which was told to begin. Every byte is still given to both;
 * where the sink hashes, this one only counts.
 */
export function createSinkHasher(size: number, sink: BlobSink | undefined): ObjectHasher {
  if (sink?.digest === undefined) return createObjectHasher('blob', size);
  let received = 0;
  return {
    update(chunk) {
      received += chunk.byteLength;
    },
    get received() {
      return received;
    },
    digest: () => sink.digest?.() ?? '',
  };
}
