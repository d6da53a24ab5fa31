// The contract between a layer that shows large files and whoever knows the attributes of its folders.
import type { AttributeRules } from '../lfs/attributes/attribute-rules.ts';
import type { Awaitable } from '../util/types.ts';
import type { LayerRequest } from './layer.ts';

/** Tells which rules apply to the files of a lower folder; the user's edits of attribute files count. */
export interface AttributeSource {
  /**
   * The rules of a lower folder (path as in LayerEntry.path): at once when they are known, else when the attribute files
   * of the folder and of those above it were read. A file that cannot be read counts as empty and is warned about, except
   * that the promise rejects when the server could not be asked, or the request was given up: then it may be asked again.
   */
  rules(folder: string, request?: LayerRequest): Awaitable<AttributeRules>;
  /** Grows whenever rules that were handed out may not hold any more. */
  readonly generation: number;
}
