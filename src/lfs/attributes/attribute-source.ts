// The contract of whoever knows the attributes of a mount's lower folders.
import type { Awaitable } from '../../util/types.ts';
import type { AttributeRules } from './attribute-rules.ts';

/** What a request for rules carries. */
export interface AttributeRequest {
  /** Gives up waiting; the promise then rejects. */
  readonly signal?: AbortSignal | undefined;
}

/** Rules of the folders of one mount's lower layer, with what the user changed about attribute files in their place. */
export interface AttributeSource {
  /** The rules of a folder if they are in memory. On the kernel's path: at once, without fetching or waiting. */
  knownRules(folder: string): AttributeRules | undefined;
  /**
   * The rules of a folder, by its path in the lower layer (latin1, no leading slash, `''` for the root). Afterwards
   * `knownRules` answers for it, until it is forgotten. Rejects as a layer does (ErrnoError, UpstreamError) when an
   * attribute file could not be had.
   */
  rules(folder: string, request?: AttributeRequest): Awaitable<AttributeRules>;
}
