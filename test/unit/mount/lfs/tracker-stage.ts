// An overlay whose attribute files a tracker follows, and what the tracker tells of them.
import type { Layer, LayerEntry } from '../../../../src/layers/layer.ts';
import type { AttributeFiles } from '../../../../src/lfs/attributes/attribute-rules.ts';
import type { GlobalAttributes } from '../../../../src/mount/lfs/global-attributes.ts';
import {
  type AttributeTracker,
  createAttributeTracker,
} from '../../../../src/mount/lfs/attribute-tracker.ts';
import { createMemoryLayer } from '../../../support/memory-layer.ts';
import { type SeedTree, seedFile } from '../../../support/seed-tree.ts';
import { UpperOverlay } from '../../../support/upper-overlay.ts';

/** A file that could be a pointer by its size. */
export const POINTER_SIZED: SeedTree[string] = seedFile('x'.repeat(128));
/** Marks `.bin` files. */
export const BIN: SeedTree[string] = seedFile('*.bin filter=lfs\n');

/** How the stage differs from the usual one. */
export interface TrackerStageOptions {
  readonly rootPath?: string;
  readonly above?: (signal: AbortSignal) => Promise<readonly AttributeFiles[]>;
  readonly global?: GlobalAttributes;
  /** Changes the layer that the tracker reads. */
  readonly plain?: (layer: Layer) => Layer;
  /** The layer answers later, at random. */
  readonly delaySeed?: number;
  /** Default 0: what is emptied counts at once. */
  readonly emptiedMs?: number;
}

/** No patterns for all mounts. */
const NO_GLOBAL: GlobalAttributes = {
  content: undefined,
  track: async () => [],
  untrack: async () => [],
  list: () => [],
  onChange: () => () => undefined,
};

/** What was told of a change: the folder, and the paths of those asked about that are concerned. */
export interface Told {
  readonly folder: string;
  readonly concerned: readonly string[];
}

/** The overlay, the tracker, and what it told. */
export class TrackerStage {
  readonly overlay: UpperOverlay;
  readonly tracker: AttributeTracker;
  readonly told: Told[] = [];
  readonly warnings: string[] = [];
  policyChanges = 0;
  readonly #layer: ReturnType<typeof createMemoryLayer>;
  readonly #options: TrackerStageOptions;

  constructor(seed: SeedTree, options: TrackerStageOptions = {}) {
    const layer = createMemoryLayer(
      seed,
      options.delaySeed === undefined ? {} : { delaySeed: options.delaySeed },
    );
    this.#layer = layer;
    const tracker = (): AttributeTracker => this.tracker;
    this.overlay = new UpperOverlay(seed, {
      listener: {
        names: new Set(['.gitattributes', '.libra_attributes']),
        fileChanged: (folder, name) => tracker().listener.fileChanged(folder, name),
        folderChanged: (path) => tracker().listener.folderChanged(path),
      },
    });
    this.#options = options;
    this.tracker = this.another();
    const paths = Object.keys(seed);
    this.tracker.attach({
      policyChanged: () => undefined,
      policyChangedEverywhere: () => this.policyChanges++,
      lowerChanged: (folder, concerns) => {
        const entries = paths.map((path) => layer.resolve(path) as LayerEntry | undefined);
        const below = entries.flatMap((entry) =>
          entry !== undefined && (folder === '' || entry.path.startsWith(`${folder}/`)) ? [entry] : [],
        );
        this.told.push({ folder, concerned: below.filter(concerns).map(({ path }) => path) });
      },
    });
  }

  /** One more tracker of the same mount, which hears of nothing. */
  another(): AttributeTracker {
    const { plain, rootPath = '', above = async () => [], global = NO_GLOBAL, emptiedMs = 0 } = this.#options;
    return createAttributeTracker({
      plain: plain?.(this.#layer) ?? this.#layer,
      upperDir: this.overlay.upper(),
      rootPath,
      above,
      global,
      emptiedMs,
      onWarning: (message) => this.warnings.push(message),
    });
  }

  /** Whether the rules of lower folders mark a lower file. */
  async isLower(path: string): Promise<boolean> {
    const [folder, name] = split(path);
    return (await this.tracker.source.rules(folder)).of(name).isLfs;
  }

  /** Whether the mount's rules mark a path of the mount. */
  async isMerged(path: string): Promise<boolean> {
    const [folder, name] = split(path);
    return (await this.tracker.mergedRules(folder)).of(name).isLfs;
  }

  /** Writes a file through the overlay, emptied or made first. */
  async write(path: string, content: string): Promise<void> {
    const { fs } = this.overlay;
    if (await fs.exists(path)) await fs.setattr(path, { size: 0 });
    else fs.close((await fs.create(path)).fh);
    const fh = await fs.open(path, 1);
    await fs.write(fh, content);
    fs.close(fh);
  }

  async dispose(): Promise<void> {
    this.tracker.close();
    this.#layer.dispose();
    await this.overlay.dispose();
  }
}

function split(path: string): [folder: string, name: string] {
  const slash = path.lastIndexOf('/');
  return [path.slice(0, Math.max(0, slash)), path.slice(slash + 1)];
}
