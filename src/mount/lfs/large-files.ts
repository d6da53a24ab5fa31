// What a host of mounts asks of the side that knows large files.
import type { Layer } from '../../layers/layer.ts';
import type { FilePolicy, OverlayControl, OverlayListener } from '../../overlay/file-policy.ts';
import type { Snapshot } from '../../upstream/upstream.ts';
import type { MountLfsReport, MountSpec } from '../mount-host.ts';
import type { LfsCare, MountLfs } from './mount-lfs.ts';

/** A mount in the making. */
export interface PlainMount {
  readonly spec: MountSpec;
  readonly snapshot: Snapshot;
  /** What it shows, pointers as they are. */
  readonly plain: Layer;
}

/** Large files of one mount. */
export interface MountedLargeFiles {
  /** What the mount shows: pointers as the large files that they stand for. */
  readonly layer: Layer;
  readonly policy: FilePolicy | undefined;
  readonly listener: OverlayListener | undefined;
  readonly lfs: MountLfs;
  /** Gets the overlay's control before anything can use the mount. */
  attach(control: OverlayControl): void;
  /** The mount serves: begins what runs in the background. */
  start(): void;
  report(): MountLfsReport;
  /** Ends what runs. The mount is gone, or never came. */
  close(): Promise<void>;
}

/** Large files of all mounts. */
export interface LargeFiles {
  readonly care: LfsCare | undefined;
  /** Adds a mount; neither asks a server nor waits for anything. */
  open(mount: PlainMount): MountedLargeFiles;
  /** Forgets what is remembered of a mount that will not come back. Never rejects. */
  forget(mountId: string): Promise<void>;
  /** Closes all that mounts share; after them. */
  close(): Promise<void>;
}
