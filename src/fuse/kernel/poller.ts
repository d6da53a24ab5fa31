// Waiting until a device has something to read.
//
// The descriptor joins the epoll set of Node's own event loop, through koffi's access to uv_poll. Compared with a
// thread of the pool that waits in epoll_wait, this saves the hop between threads (40-57 us a round trip against
// 60-66, measured over a pipe), takes no thread, and shares the loop fairly with timers, HTTP and other mounts.
import koffi from 'koffi';

/** A watched descriptor. */
export interface Watch {
  /** Ends the watch. Do it before the descriptor is closed. */
  close(): void;
}

/**
 * Calls `onReadable` once a turn of the event loop for as long as `fd` has something to read, or has failed; a watch on
 * a failed descriptor fires once and is over. A watch keeps the process alive. The descriptor becomes non-blocking.
 */
export function watchReadable(fd: number, onReadable: () => void): Watch {
  const handle = koffi.node.poll(fd, { readable: true }, () => onReadable());
  return { close: () => handle.close() };
}
