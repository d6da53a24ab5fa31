// Which files read as the large file that their pointer stands for: by the attributes, and by patterns of the configuration.
import type { AttributeRules } from '../lfs/attributes/attribute-rules.ts';
import type { AttributeSource } from '../lfs/attributes/attribute-source.ts';
import { chain } from '../util/chain.ts';
import { LruCache } from '../util/lru.ts';
import type { FilterState, PathFilter } from '../util/path-filter.ts';
import type { Awaitable } from '../util/types.ts';
import type { LayerRequest } from './layer.ts';

const REMEMBERED_FOLDERS = 1024;

/** What it is made of. */
export interface SmudgeChoiceParts {
  /** `attributes`: files that the attributes mark; `any-pointer`: all. */
  readonly smudge: 'attributes' | 'any-pointer';
  readonly attributes: AttributeSource;
  /** Which files of the monorepo may be large. */
  readonly filter: PathFilter;
  /** Path of the layer's root in the monorepo: no leading slash, latin1, `''` for all of it. */
  readonly rootPath: string;
}

const EVERY_FILE: AttributeRules = {
  isEmpty: false,
  of: () => ({ isLfs: true, isLockable: false }),
  inside: () => EVERY_FILE,
};

/** Decides about files by their path in the layer (latin1, no leading slash). */
export class SmudgeChoice {
  readonly #parts: SmudgeChoiceParts;
  readonly #filtered = new LruCache<string, { readonly state: FilterState | undefined }>(REMEMBERED_FOLDERS);
  // Files are asked about folder by folder.
  #lastFolder = '';
  #lastPrefix = '';

  constructor(parts: SmudgeChoiceParts) {
    this.#parts = parts;
  }

  /** Whether a pointer at the path reads as the large file; undefined: not known without waiting. */
  known(path: string): boolean | undefined {
    const folder = this.#folderOf(path);
    const rules = this.rules(folder);
    if (rules === undefined) return undefined;
    return !rules.isEmpty && this.decide(rules, folder, path.slice(this.#lastPrefix.length));
  }

  /** The same, waiting for attribute files where that is needed. */
  learn(path: string, request?: LayerRequest): Awaitable<boolean> {
    const folder = this.#folderOf(path);
    const name = path.slice(this.#lastPrefix.length);
    return chain(this.learnRules(folder, request), (rules) => this.decide(rules, folder, name));
  }

  /** What holds for the files of a folder, if it is known without waiting. */
  rules(folder: string): AttributeRules | undefined {
    const { smudge, attributes } = this.#parts;
    return smudge === 'any-pointer' ? EVERY_FILE : attributes.knownRules(folder);
  }

  /** The same, waiting for attribute files where that is needed. */
  learnRules(folder: string, request?: LayerRequest): Awaitable<AttributeRules> {
    return this.rules(folder) ?? this.#parts.attributes.rules(folder, { signal: request?.signal });
  }

  /** Whether a pointer reads as the large file, by the rules of its folder. */
  decide(rules: AttributeRules, folder: string, name: string): boolean {
    return !rules.isEmpty && rules.of(name).isLfs && this.#passes(folder, name);
  }

  #passes(folder: string, name: string): boolean {
    const { filter } = this.#parts;
    if (filter.wantsAll) return true;
    let known = this.#filtered.get(folder);
    if (known === undefined) {
      known = { state: this.#enter(folder) };
      this.#filtered.set(folder, known);
    }
    return known.state !== undefined && filter.wantsFile(known.state, name);
  }

  #enter(folder: string): FilterState | undefined {
    const { filter, rootPath } = this.#parts;
    let state: FilterState | undefined = filter.start;
    for (const name of `${rootPath}/${folder}`.split('/')) {
      if (name !== '' && state !== undefined) state = filter.enter(state, name);
    }
    return state;
  }

  #folderOf(path: string): string {
    const prefix = this.#lastPrefix;
    if (!path.startsWith(prefix) || path.includes('/', prefix.length)) {
      const end = path.lastIndexOf('/') + 1;
      this.#lastPrefix = path.slice(0, end);
      this.#lastFolder = path.slice(0, Math.max(0, end - 1));
    }
    return this.#lastFolder;
  }
}
