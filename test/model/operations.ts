// The operations that the models draw at random: few names and small contents, so that they often meet.
import fc from 'fast-check';
import { seedFile, seedSymlink, type SeedTree } from '../support/seed-tree.ts';

/** A member of the union for each name, so that a comparison of `op` narrows it. */
type Each<Name, Fields> = Name extends string ? { readonly op: Name } & Fields : never;

/** One operation. Paths and data are latin1; `slot` is one of a few open handles. */
export type Operation =
  | { readonly op: 'create'; readonly path: string; readonly mode: number; readonly exclusive: boolean }
  | { readonly op: 'write'; readonly path: string; readonly position: number; readonly data: string }
  | { readonly op: 'append'; readonly path: string; readonly data: string }
  | { readonly op: 'truncate'; readonly path: string; readonly size: number }
  | Each<
      'read' | 'list' | 'stat' | 'readlink' | 'unlink' | 'rmdir' | 'removeTree' | 'mkfifo',
      { readonly path: string }
    >
  | Each<'mkdir' | 'chmod', { readonly path: string; readonly mode: number }>
  | { readonly op: 'rename'; readonly path: string; readonly to: string; readonly flags: number }
  | { readonly op: 'link'; readonly path: string; readonly to: string }
  | { readonly op: 'symlink'; readonly path: string; readonly target: string }
  | { readonly op: 'utimes'; readonly path: string; readonly seconds: number }
  | {
      readonly op: 'setxattr';
      readonly path: string;
      readonly name: string;
      readonly data: string;
      readonly flags: number;
    }
  | { readonly op: 'removexattr'; readonly path: string; readonly name: string }
  | {
      readonly op: 'open';
      readonly slot: number;
      readonly path: string;
      readonly mode: 'r' | 'r+' | 'w' | 'a';
    }
  | Each<'readHandle' | 'statHandle' | 'close', { readonly slot: number }>
  | { readonly op: 'writeHandle'; readonly slot: number; readonly position: number; readonly data: string }
  | { readonly op: 'truncateHandle'; readonly slot: number; readonly size: number }
  | { readonly op: 'reopen' };

/** What an operation came to: a value, or the name of an errno. */
export type Outcome = { readonly value: unknown } | { readonly errno: string };

/** The tree that is there at the start. */
export const modelSeed: SeedTree = {
  a: seedFile('lower a\n'),
  'b/a': seedFile('lower b/a\n', { executable: true }),
  'b/c/a': seedFile('lower b/c/a\n'),
  'b/c/b': seedSymlink('a'),
  'b/\xe9': seedFile(Buffer.alloc(9000, 'x')),
  c: seedSymlink('b'),
  'd/a/b/c': seedFile(''),
  'd/b': seedFile('lower d/b\n'),
};

const name = fc.constantFrom('a', 'b', 'c', 'd', '\xe9');

/**
 * Paths are drawn before it is known what exists, so most are drawn as an instruction that `resolveOperation` follows:
 * `@file:N` is the Nth file (of what is there at the time, modulo how many), `@new:N:NAME` a name in the Nth folder.
 */
const anywhere = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => names.join('/'));
const pick = (kind: 'file' | 'folder' | 'any'): fc.Arbitrary<string> =>
  fc.nat(60).map((index) => `@${kind}:${index}`);
const fresh = fc.tuple(fc.nat(20), name).map(([index, last]) => `@new:${index}:${last}`);
const mostly = (main: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 8, arbitrary: main },
    { weight: 1, arbitrary: pick('any') },
    { weight: 1, arbitrary: anywhere },
  );
const file = mostly(pick('file'));
const folder = mostly(pick('folder'));
const path = mostly(pick('any'));
const place = mostly(fresh);

const data = fc.constantFrom('x', 'some data\n', 'y'.repeat(5000), '');
const position = fc.constantFrom(0, 3, 4096, 10_000);
const size = fc.constantFrom(0, 1, 5, 4096, 12_000);
const mode = fc.constantFrom(0o755, 0o700, 0o775, 0o1777, 0o2755);
const flags = fc.oneof(
  { weight: 4, arbitrary: fc.constant(0) },
  { weight: 3, arbitrary: fc.constantFrom(1, 2) },
);
const slot = fc.constantFrom(0, 1, 2);
const xattr = fc.constantFrom('user.one', 'user.two');

const op = <Name extends string>(value: Name): fc.Arbitrary<Name> => fc.constant(value);

const changes: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({ op: op('create'), path: place, mode, exclusive: fc.boolean() }),
  fc.record({ op: op('write'), path: file, position, data }),
  fc.record({ op: op('append'), path: file, data }),
  fc.record({ op: op('truncate'), path: file, size }),
  fc.record({ op: op('unlink'), path: file }),
  fc.record({ op: fc.constantFrom('rmdir' as const, 'removeTree' as const), path: folder }),
  fc.record({ op: op('mkfifo'), path: place }),
  fc.record({ op: op('mkdir'), path: place, mode }),
  fc.record({ op: op('chmod'), path, mode }),
  fc.record({ op: op('rename'), path: file, to: place, flags }),
  fc.record({ op: op('rename'), path: folder, to: place, flags }),
  fc.record({ op: op('rename'), path, to: path, flags }),
  fc.record({ op: op('link'), path: file, to: place }),
  fc.record({ op: op('symlink'), path: place, target: fc.constantFrom('a', 'b/c', 'nowhere') }),
  fc.record({ op: op('utimes'), path, seconds: fc.constantFrom(1, 1_500_000_000) }),
  fc.record({
    op: op('setxattr'),
    path,
    name: xattr,
    data: fc.constantFrom('', 'value'),
    flags: fc.constantFrom(0, 0, 1, 2),
  }),
  fc.record({ op: op('removexattr'), path, name: xattr }),
);

const looks: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({ op: op('read'), path: file }),
  fc.record({ op: op('list'), path: folder }),
  fc.record({ op: fc.constantFrom('stat' as const, 'readlink' as const), path }),
);

const handles: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({
    op: op('open'),
    slot,
    path: file,
    mode: fc.constantFrom('r' as const, 'r+' as const, 'w' as const, 'a' as const),
  }),
  fc.record({ op: fc.constantFrom('readHandle' as const, 'statHandle' as const, 'close' as const), slot }),
  fc.record({ op: op('writeHandle'), slot, position, data }),
  fc.record({ op: op('truncateHandle'), slot, size }),
);

/** What is there when an operation runs: paths, sorted. */
export interface ExistingPaths {
  readonly files: readonly string[];
  readonly folders: readonly string[];
}

/** Puts real paths into an operation. */
export function resolveOperation(operation: Operation, existing: ExistingPaths): Operation {
  const resolved: Record<string, unknown> = { ...operation };
  for (const key of ['path', 'to']) {
    const drawn = resolved[key];
    if (typeof drawn === 'string') resolved[key] = resolvePath(drawn, existing);
  }
  return resolved as unknown as Operation;
}

function resolvePath(drawn: string, { files, folders }: ExistingPaths): string {
  const [instruction, index, last] = drawn.split(':');
  const nth = (paths: readonly string[]): string => paths[Number(index) % paths.length] ?? 'a';
  if (instruction === '@file') return nth(files);
  if (instruction === '@folder') return nth(folders);
  if (instruction === '@any') return nth([...files, ...folders]);
  if (instruction !== '@new') return drawn;
  const parent = nth(['', ...folders]);
  return parent === '' ? String(last) : `${parent}/${last}`;
}

/** Sequences of operations; with `setgid: false`, no mode has that bit. */
export function operationSequences(
  maxLength: number,
  { setgid }: { setgid: boolean } = { setgid: true },
): fc.Arbitrary<Operation[]> {
  const operation = fc.oneof(
    { weight: 12, arbitrary: changes },
    { weight: 3, arbitrary: looks },
    { weight: 4, arbitrary: handles },
    { weight: 1, arbitrary: fc.record({ op: op('reopen') }) },
  );
  const kept = operation.map((drawn) => (setgid ? drawn : withoutSetgid(drawn)));
  return fc.array(kept, { minLength: 1, maxLength, size: 'max' });
}

function withoutSetgid(operation: Operation): Operation {
  return 'mode' in operation && typeof operation.mode === 'number'
    ? { ...operation, mode: operation.mode & ~0o2000 }
    : operation;
}

/** How many sequences to try (SCORPIO_MODEL_RUNS), and from which seed (SCORPIO_MODEL_SEED) to repeat a failure. */
export function modelParameters(defaultRuns: number): {
  numRuns: number;
  seed?: number;
  endOnFailure: boolean;
} {
  const seed = process.env['SCORPIO_MODEL_SEED'];
  return {
    numRuns: Number(process.env['SCORPIO_MODEL_RUNS'] ?? defaultRuns),
    endOnFailure: false,
    ...(seed === undefined ? {} : { seed: Number(seed) }),
  };
}

/** Errnos of which an operation may give any when several apply; behind a kernel, it decides which comes first. */
const interchangeable: Partial<Record<Operation['op'], readonly string[]>> = {
  link: ['EEXIST', 'EPERM'],
  rename: ['EEXIST', 'EINVAL', 'EISDIR', 'ENOTDIR', 'ENOTEMPTY'],
};

/** The outcome in a form in which outcomes that are equally right are equal. */
export function comparable(operation: Operation, outcome: Outcome): Outcome {
  const names = interchangeable[operation.op] ?? [];
  if ('errno' in outcome && names.includes(outcome.errno)) return { errno: names.join(' or ') };
  return outcome;
}
