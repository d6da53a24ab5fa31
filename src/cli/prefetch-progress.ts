// The events of a prefetch as numbers to show.
import type { PrefetchProgressEvent } from '../http/prefetch-events.ts';
import { formatByteSize } from '../util/byte-size.ts';
import type { ProgressNumbers } from './progress-view.ts';

/** What a progress event says. While one pack comes, nothing is known of files. */
export function progressOfPrefetch(event: PrefetchProgressEvent): ProgressNumbers {
  const { counting, files, present, fetched, failed, bytes, total_bytes: totalBytes, unsized, pack } = event;
  const share =
    pack === null || pack.total_objects === 0
      ? ''
      : ` ${Math.floor((pack.objects / pack.total_objects) * 100)}%`;
  return {
    isCounting: counting,
    files,
    filesDone: present + fetched + failed,
    filesFailed: failed,
    bytes: pack?.bytes ?? bytes,
    totalBytes,
    filesUnsized: unsized,
    instead: pack === null ? undefined : `receiving one pack${share}, ${formatByteSize(pack.bytes)}`,
  };
}
