// What mounting comes to: an open device, and the way to unmount that belongs to how it was mounted.

/** A mounted device. */
export interface Attachment {
  /** The device: non-blocking, closed on exec. */
  readonly fd: number;
  /** Unmounts what is mounted on the path. Rejects with ErrnoError EBUSY when the mount is in use and `lazy` is false. */
  detach(mountpoint: string, lazy: boolean): Promise<void>;
}
