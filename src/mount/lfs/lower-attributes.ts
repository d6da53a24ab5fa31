// Attributes of a mount's lower folders, from the attribute files of the repository.
import { closeSync, readFileSync } from 'node:fs';
import type { Layer, LayerEntry, Listing } from '../../layers/layer.ts';
import type { AttributeFiles, AttributeRules } from '../../lfs/attributes/attribute-rules.ts';
import type { AttributeSource } from '../../lfs/attributes/attribute-source.ts';
import { createRootRules } from '../../lfs/attributes/folder-rules.ts';
import type { ReadAttributesAbove } from './attributes-above.ts';

const S_IFMT = 0o170000;
const S_IFREG = 0o100000;

/** Makes the source. */
export function createLowerAttributes(
  plain: Layer,
  rootPath: string,
  above: ReadAttributesAbove,
): AttributeSource {
  const known = new Map<string, AttributeRules>();

  const contentOf = async (
    listing: Listing,
    name: string,
    signal?: AbortSignal,
  ): Promise<Buffer | undefined> => {
    const entry = listing.get(name);
    if (entry === undefined || (entry.mode & S_IFMT) !== S_IFREG) return undefined;
    const fd = await plain.open(entry, signal === undefined ? {} : { signal });
    try {
      return readFileSync(fd);
    } finally {
      closeSync(fd);
    }
  };

  const filesOf = async (folder: string, signal?: AbortSignal): Promise<AttributeFiles> => {
    const request = signal === undefined ? {} : { signal };
    const entry = (await plain.resolve(folder, request)) as LayerEntry;
    const listing = await plain.list(entry, request);
    return {
      gitattributes: await contentOf(listing, '.gitattributes', signal),
      libraAttributes: folder === '' ? await contentOf(listing, '.libra_attributes', signal) : undefined,
    };
  };

  const learn = async (folder: string, signal?: AbortSignal): Promise<AttributeRules> => {
    const found = known.get(folder);
    if (found !== undefined) return found;
    let rules: AttributeRules;
    if (folder === '') {
      const files = await filesOf('', signal);
      rules = createRootRules({ files, above: { path: rootPath, files: await above(signal) } });
    } else {
      const cut = folder.lastIndexOf('/');
      const parent = await learn(cut < 0 ? '' : folder.slice(0, cut), signal);
      rules = parent.inside(folder.slice(cut + 1), await filesOf(folder, signal));
    }
    known.set(folder, rules);
    return rules;
  };

  return {
    knownRules: (folder) => known.get(folder),
    rules: (folder, request) => learn(folder, request?.signal),
  };
}
