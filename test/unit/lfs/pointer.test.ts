// Pointers: the specification's cases, those of git-lfs, and random ones, compared with the real git-lfs.
import { execFileSync, spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { LfsError } from '../../../src/lfs/lfs-error.ts';
import {
  formatPointer,
  parsePointer,
  POINTER_MAX_BYTES,
  POINTER_MIN_BYTES,
  type PointerContent,
} from '../../../src/lfs/pointer.ts';
import { plainEnvironment } from '../../support/run-program.ts';
import { makeTestFolder } from '../../support/test-folder.ts';

const OID = '4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393';
const OTHER = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
const VERSION = 'version https://git-lfs.github.com/spec/v1\n';
const CANONICAL = `${VERSION}oid sha256:${OID}\nsize 12345\n`;
const EXTENDED = `${VERSION}ext-0-foo sha256:${OTHER}\next-1-bar sha256:${OID}\noid sha256:${OID}\nsize 12345\n`;

/** What a text is: canonical, readable, or no pointer. */
type Kind = 'canonical' | 'readable' | 'none';

function kindOf(bytes: Uint8Array): Kind {
  const pointer = parsePointer(bytes);
  if (pointer === undefined) return 'none';
  return pointer.isCanonical ? 'canonical' : 'readable';
}

const home = makeTestFolder();
afterAll(() => rmSync(home, { recursive: true }));

/** What the real git-lfs says. */
function asked(bytes: Uint8Array): Kind {
  const file = join(home, 'pointer');
  writeFileSync(file, bytes);
  const { status } = spawnSync('git', ['lfs', 'pointer', '--check', '--strict', '--file', file], {
    env: { ...plainEnvironment(), HOME: home },
    timeout: 30_000,
  });
  if (status === 0) return 'canonical';
  return status === 2 ? 'readable' : 'none';
}

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');

/** Texts, and what they are here and for git-lfs. */
const VECTORS: readonly (readonly [name: string, text: string, kind: Kind])[] = [
  ['the specification’s example', CANONICAL, 'canonical'],
  ['the name before the publication', CANONICAL.replace('git-lfs', 'hawser'), 'readable'],
  [
    'the first name',
    CANONICAL.replace('https://git-lfs.github.com/spec/v1', 'http://git-media.io/v/2'),
    'readable',
  ],
  ['that name with another scheme', CANONICAL.replace('https://git-lfs', 'http://hawser'), 'none'],
  ['the URL with http', CANONICAL.replace('https:', 'http:'), 'none'],
  ['a later version', CANONICAL.replace('spec/v1', 'spec/v2'), 'none'],
  [
    'an unknown version',
    CANONICAL.replace('https://git-lfs.github.com/spec/v1', 'http://git-media.io/v/whatever'),
    'none',
  ],
  ['no final newline', CANONICAL.trimEnd(), 'readable'],
  ['CRLF', CANONICAL.replaceAll('\n', '\r\n'), 'readable'],
  ['CR alone', CANONICAL.replaceAll('\n', '\r'), 'none'],
  ['two CR at a line’s end', CANONICAL.replace('\n', '\r\r\n'), 'none'],
  ['a space after the version', CANONICAL.replace('\n', ' \n'), 'none'],
  ['a space after the oid', CANONICAL.replace('2393\n', '2393 \n'), 'none'],
  ['a space at the end', CANONICAL.replace('12345\n', '12345 \n'), 'readable'],
  ['a tabulator at the end', CANONICAL.replace('12345\n', '12345\t\n'), 'readable'],
  ['a vertical tabulator at the end', CANONICAL.replace('12345\n', '12345\v\n'), 'readable'],
  [
    'a space that does not break, at the end',
    CANONICAL.replace('12345\n', '12345\u00c2\u00a0\n'),
    'readable',
  ],
  ['empty lines at the end', `${CANONICAL}\n\n`, 'readable'],
  ['a line of white space at the end', `${CANONICAL} \n`, 'readable'],
  ['an empty line in front', `\n${CANONICAL}`, 'readable'],
  ['a space in front', ` ${CANONICAL}`, 'readable'],
  ['an empty line within', CANONICAL.replace('\n', '\n\n'), 'readable'],
  ['a byte order mark', `\u00ef\u00bb\u00bf${CANONICAL}`, 'none'],
  ['NUL at the end', `${CANONICAL}\0`, 'none'],
  ['white space alone', '\n', 'none'],
  ['another text', 'invalid stuff', 'none'],
  ['a comment', '# git-media', 'none'],
  ['keys out of order', `${VERSION}size 12345\noid sha256:${OID}\n`, 'none'],
  ['no version', `oid sha256:${OID}\nsize 12345\n`, 'none'],
  ['no oid', `${VERSION}size 12345\n`, 'none'],
  ['no size', `${VERSION}oid sha256:${OID}\n`, 'none'],
  ['an equals sign for the space', CANONICAL.replaceAll(' ', '='), 'none'],
  ['a tabulator for the space', CANONICAL.replace('oid ', 'oid\t'), 'none'],
  ['two spaces', CANONICAL.replace('oid ', 'oid  '), 'none'],
  ['a space before a key', CANONICAL.replace('oid', ' oid'), 'none'],
  ['the oid twice', CANONICAL.replace(/oid.*\n/u, '$&$&'), 'none'],
  ['the size twice', CANONICAL.replace(/size.*\n/u, '$&$&'), 'none'],
  ['the version twice', CANONICAL.replace(/version.*\n/u, '$&$&'), 'none'],
  ['an oid in upper case', CANONICAL.replace(OID, OID.toUpperCase()), 'none'],
  ['an oid too short', CANONICAL.replace(OID, OID.slice(1)), 'none'],
  ['an oid too long', CANONICAL.replace(OID, `${OID}0`), 'none'],
  ['an oid that is none', CANONICAL.replace(OID, 'boom'), 'none'],
  ['another hash', CANONICAL.replace('sha256', 'shazam'), 'none'],
  ['no hash’s name', CANONICAL.replace('sha256:', ''), 'none'],
  ['a negative size', CANONICAL.replace('12345', '-1'), 'none'],
  ['a hexadecimal size', CANONICAL.replace('12345', '0x12'), 'none'],
  ['a fractional size', CANONICAL.replace('12345', '1.5'), 'none'],
  ['a size in groups', CANONICAL.replace('12345', '1_000'), 'none'],
  ['a size that is no number', CANONICAL.replace('12345', 'fif'), 'none'],
  ['a size with a plus', CANONICAL.replace('12345', '+1'), 'readable'],
  ['a size with zeros in front', CANONICAL.replace('12345', '0012'), 'readable'],
  ['size 0', CANONICAL.replace('12345', '0'), 'readable'],
  ['size -0', CANONICAL.replace('12345', '-0'), 'readable'],
  ['the largest size', CANONICAL.replace('12345', String(Number.MAX_SAFE_INTEGER)), 'canonical'],
  ['a size beyond 64 bits', CANONICAL.replace('12345', '9223372036854775808'), 'none'],
  ['the shortest', `version http://git-media.io/v/2\noid sha256:${OID}\nsize 1`, 'readable'],
  ['extensions', EXTENDED, 'canonical'],
  ['extensions with gaps between them', EXTENDED.replace('ext-1', 'ext-9'), 'canonical'],
  [
    'extensions out of order',
    EXTENDED.replace('ext-1', 'ext-x').replace('ext-0', 'ext-1').replace('ext-x', 'ext-0'),
    'readable',
  ],
  ['extensions in front', `ext-0-foo sha256:${OTHER}\n${CANONICAL}`, 'readable'],
  ['an extension after the oid', CANONICAL.replace('size', `ext-0-foo sha256:${OTHER}\nsize`), 'readable'],
  ['an extension after the size', `${CANONICAL}ext-0-foo sha256:${OTHER}\n`, 'none'],
  ['the same extension twice', EXTENDED.replace('ext-1-bar', 'ext-0-foo'), 'readable'],
  ['two extensions of one priority', EXTENDED.replace('ext-1', 'ext-0'), 'none'],
  ['a priority above 9', EXTENDED.replace('ext-1', 'ext-10'), 'none'],
  ['a priority that is none', EXTENDED.replace('ext-1', 'ext-#'), 'none'],
  ['no priority', EXTENDED.replace('ext-1-', 'ext-'), 'none'],
  ['an extension without a name', EXTENDED.replace('foo', ''), 'none'],
  ['an extension’s name of signs', EXTENDED.replace('foo', '$$$$'), 'none'],
  ['an extension’s name with an underscore', EXTENDED.replace('foo', 'fo_o'), 'canonical'],
  ['an extension’s name with a point', EXTENDED.replace('foo', 'fo.o'), 'canonical'],
  ['an extension’s name with a carriage return', EXTENDED.replace('foo', 'fo\ro'), 'canonical'],
  ['an extension with a bad oid', EXTENDED.replace(OTHER, 'boom'), 'none'],
  ['an extension with another hash', EXTENDED.replace('sha256', 'boom'), 'none'],
  ['a line of rubbish', `${CANONICAL}===\n`, 'none'],
  ['a byte of rubbish', `${CANONICAL}\u00ff`, 'none'],
  ['a key with an upper-case letter', `${CANONICAL}Zeta x\n`, 'none'],
  ['an unknown key in the wrong place', `${CANONICAL}alpha x\n`, 'none'],
];

/** Where git-lfs says otherwise, by decision. */
const DIFFERENCES: readonly (readonly [name: string, text: string, here: Kind, theirs: Kind])[] = [
  ['an unknown key is kept', `${CANONICAL}wat wat\n`, 'canonical', 'none'],
  ['also one between the others', CANONICAL.replace('oid', 'alpha x\noid'), 'canonical', 'none'],
  ['an empty file is no pointer', '', 'none', 'canonical'],
  ['a size that a number cannot hold', CANONICAL.replace('12345', '9007199254740992'), 'none', 'canonical'],
  ['a text beyond 1024 bytes', CANONICAL.padEnd(POINTER_MAX_BYTES + 1, '\n'), 'none', 'readable'],
  ['what is not UTF-8', EXTENDED.replace('foo', 'fo\u00ff'), 'none', 'canonical'],
];

describe('what a pointer is', () => {
  test.each(VECTORS)('%s', (_name, text, kind) => {
    expect(kindOf(latin1(text))).toBe(kind);
    expect(asked(latin1(text))).toBe(kind);
  });

  test.each(DIFFERENCES)('unlike git-lfs: %s', (_name, text, here, theirs) => {
    expect(kindOf(latin1(text))).toBe(here);
    expect(asked(latin1(text))).toBe(theirs);
  });

  test('the longest text is one of 1024 bytes, the shortest one of 114', () => {
    expect(kindOf(latin1(CANONICAL.padEnd(POINTER_MAX_BYTES, '\n')))).toBe('readable');
    const shortest = `version http://git-media.io/v/2\noid sha256:${OID}\nsize 1`;
    expect(shortest).toHaveLength(POINTER_MIN_BYTES);
  });
});

test('a pointer says all that stands in it', () => {
  const text = EXTENDED.replace('oid', 'nose 1\noid').concat('tail a b\n');
  expect(parsePointer(Buffer.from(text))).toEqual({
    oid: OID,
    size: 12_345,
    extensions: [
      { priority: 0, name: 'foo', oid: OTHER },
      { priority: 1, name: 'bar', oid: OID },
    ],
    others: [
      ['nose', '1'],
      ['tail', 'a b'],
    ],
    isCanonical: true,
  });
});

test('of the same extension twice the second counts', () => {
  const twice = EXTENDED.replace('ext-1-bar', 'ext-0-foo');
  expect(parsePointer(Buffer.from(twice))?.extensions).toEqual([{ priority: 0, name: 'foo', oid: OID }]);
});

test('what is written is what git-lfs writes', () => {
  const file = join(home, 'content');
  writeFileSync(file, 'some content');
  const written = execFileSync('git', ['lfs', 'pointer', '--file', file], {
    env: { ...plainEnvironment(), HOME: home },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const pointer = parsePointer(written);
  expect(pointer).toMatchObject({ size: 12, isCanonical: true });
  expect(formatPointer(pointer as PointerContent)).toEqual(written);
});

test('a file without content is its own pointer', () => {
  expect(formatPointer({ oid: OTHER, size: 0 })).toHaveLength(0);
});

test.each<[string, PointerContent]>([
  ['an oid that is none', { oid: 'boom', size: 1 }],
  ['a negative size', { oid: OID, size: -1 }],
  ['a size beyond 2^53-1', { oid: OID, size: 2 ** 53 }],
  ['too long', { oid: OID, size: 1, others: [['zeta', 'x'.repeat(1000)]] }],
  ['a value that is two lines', { oid: OID, size: 1, others: [['zeta', 'x\nzz y']] }],
  ['a value that ends in a space', { oid: OID, size: 1, others: [['zeta', 'x ']] }],
  ['a known key among the others', { oid: OID, size: 1, others: [['size', '2']] }],
  ['a priority beyond 9', { oid: OID, size: 1, extensions: [{ priority: 10, name: 'a', oid: OID }] }],
  [
    'a name that is two lines',
    { oid: OID, size: 1, extensions: [{ priority: 0, name: `a sha256:${OID}\next-1-b`, oid: OID }] },
  ],
])('what no pointer can say is refused: %s', (_name, content) => {
  expect(() => formatPointer(content)).toThrow(LfsError);
});

const oids = fc.stringMatching(/^[0-9a-f]{64}$/u);
const contents: fc.Arbitrary<Required<PointerContent>> = fc.record({
  oid: oids,
  size: fc.maxSafeNat().map((size) => size || 1),
  extensions: fc
    .uniqueArray(fc.record({ priority: fc.nat(9), name: fc.stringMatching(/^\w[\w.-]{0,8}$/u), oid: oids }), {
      selector: ({ priority }) => priority,
      maxLength: 5,
    })
    .map((list) => list.sort((left, right) => left.priority - right.priority)),
  others: fc
    .uniqueArray(
      fc.tuple(
        fc
          .stringMatching(/^[a-df-z][a-z0-9.-]{0,9}$/u)
          .filter((key) => !['version', 'oid', 'size'].includes(key)),
        fc.stringMatching(/^[!-~]([ -~]{0,9}[!-~])?$/u),
      ),
      { selector: ([key]) => key, maxLength: 3 },
    )
    .map((list) => list.sort(([left], [right]) => (left < right ? -1 : 1))),
});

test('what was written reads as it was, and is canonical', () => {
  fc.assert(
    fc.property(contents, (content) => {
      const bytes = formatPointer(content);
      expect(parsePointer(bytes)).toEqual({ ...content, isCanonical: true });
    }),
  );
});

/** A pointer with a few bytes changed, taken away, or put in. */
const mutations = fc
  .tuple(
    fc.constantFrom(
      CANONICAL,
      EXTENDED,
      CANONICAL.replaceAll('\n', '\r\n'),
      CANONICAL.replace('git-lfs', 'hawser'),
    ),
    fc.array(
      fc.tuple(
        fc.nat(400),
        fc.nat(2),
        fc.oneof(
          fc.constantFrom(
            ' ',
            '\n',
            '\r',
            '\t',
            '\n\n',
            '0',
            '-',
            'size 1\n',
            'ext-0-a sha256:',
            `oid sha256:${OID}\n`,
          ),
          fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
        ),
      ),
      { minLength: 1, maxLength: 3 },
    ),
  )
  .map(([text, edits]) => {
    let edited = text;
    for (const [place, removed, put] of edits) {
      const at = place % (edited.length + 1);
      edited = edited.slice(0, at) + put + edited.slice(at + removed);
    }
    return latin1(edited);
  });

test('nothing makes the parser throw, and what it takes is written back canonically', () => {
  fc.assert(
    fc.property(fc.oneof(mutations, fc.uint8Array({ maxLength: 1100 })), (bytes) => {
      const pointer = parsePointer(bytes);
      if (pointer === undefined || pointer.size === 0) return;
      const written = formatPointer(pointer);
      expect(parsePointer(written)).toEqual({ ...pointer, isCanonical: true });
      expect(pointer.isCanonical).toBe(written.equals(bytes));
    }),
    { numRuns: 2000 },
  );
});

test('git-lfs says the same of random changes', () => {
  const isUtf8 = (bytes: Buffer): boolean => Buffer.from(bytes.toString('utf8')).equals(bytes);
  fc.assert(
    fc.property(mutations, (bytes) => {
      const pointer = parsePointer(bytes);
      // The differences that are meant.
      if (!isUtf8(bytes) || (pointer !== undefined && pointer.others.length > 0)) return;
      if (/size \+?\d{16,}/u.test(bytes.toString('latin1'))) return;
      expect([bytes.toString('latin1'), kindOf(bytes)]).toEqual([bytes.toString('latin1'), asked(bytes)]);
    }),
    { numRuns: 60 },
  );
});
