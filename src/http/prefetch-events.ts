// The events of a prefetch, as the API spells them.

/** The numbers of each of them. */
export interface PrefetchNumbers {
  readonly folders: number;
  readonly files: number;
  readonly present: number;
  readonly fetched: number;
  readonly failed: number;
  readonly bytes: number;
  readonly total_bytes: number;
  readonly unsized: number;
}

/** How far it has come. */
export interface PrefetchProgressEvent extends PrefetchNumbers {
  readonly event: 'progress';
  /** Whether more files may be found. */
  readonly counting: boolean;
  /** While the folder comes as one pack. */
  readonly pack: { readonly objects: number; readonly total_objects: number; readonly bytes: number } | null;
}

/** What became of it. */
export interface PrefetchEndEvent extends PrefetchNumbers {
  readonly event: 'end';
  readonly failures: readonly { readonly path: string; readonly error: string }[];
  readonly used_pack: boolean;
  readonly duration_ms: number;
}
