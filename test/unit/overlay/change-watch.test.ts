// Who hears of changes to files of certain names, and of folders that move.
import { constants } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { RENAME_EXCHANGE, WRITE_SYNC } from '../../../src/fuse/filesystem.ts';
import { outcome } from '../../support/filesystem-assertions.ts';
import { ROOT } from '../../support/filesystem-client.ts';
import { seedFile } from '../../support/seed-tree.ts';
import { UpperOverlay } from '../../support/upper-overlay.ts';

const NAME = '.gitattributes';
const { O_RDWR, O_TRUNC, O_WRONLY } = constants;
const seed = {
  [NAME]: seedFile('*.bin filter=lfs\n'),
  [`art/${NAME}`]: seedFile('*.psd lockable\n'),
  'art/brush.psd': seedFile('brush'),
  'other.txt': seedFile('other'),
};

let overlay: UpperOverlay;
let heard: string[];
/** Called for each change that is told. */
let onChange: () => void;
let depth: number;

const hear = (text: string): void => {
  heard.push(text);
  expect(++depth).toBe(1);
  onChange();
  depth--;
};

beforeEach(() => {
  heard = [];
  depth = 0;
  onChange = () => undefined;
  overlay = new UpperOverlay(seed, {
    listener: {
      names: new Set([NAME]),
      fileChanged: (folder, name) => hear(`${folder}:${name}`),
      folderChanged: (path) => hear(path),
    },
  });
});
afterEach(() => overlay.dispose());

/** What is heard of an action. */
async function of(action: () => unknown): Promise<string[]> {
  heard = [];
  await action();
  return heard;
}

const ROOT_FILE = `:${NAME}`;
const ART_FILE = `art:${NAME}`;

test('a file of such a name that is made, written, cut and removed', async () => {
  const { fs } = overlay;
  expect(await of(() => fs.mkdir('new'))).toEqual([]);
  const file = `new:${NAME}`;
  expect(await of(() => fs.writeFile(`new/${NAME}`, 'text'))).toEqual([file, file]);
  const fh = await fs.open(`new/${NAME}`, O_WRONLY);
  expect(await of(() => fs.write(fh, 'more', 4))).toEqual([file]);
  expect(await of(() => fs.write(fh, 'synced', 8, WRITE_SYNC))).toEqual([file]);
  expect(await of(() => fs.fallocate(fh, 0, 0, 100))).toEqual([file]);
  expect(await of(() => fs.setattr(`new/${NAME}`, { size: 1, fh }))).toEqual([file]);
  fs.close(fh);
  expect(await of(() => fs.setattr(`new/${NAME}`, { size: 0 }))).toEqual([file]);
  expect(await of(() => fs.unlink(`new/${NAME}`))).toEqual([file]);
});

test('a file of the repository, also one that is emptied or opened anew', async () => {
  const { fs } = overlay;
  expect(await of(() => fs.setattr(NAME, { size: 0 }))).toEqual([ROOT_FILE]);
  const fh = await fs.open(`art/${NAME}`, O_RDWR | O_TRUNC);
  expect(heard).toEqual([ROOT_FILE, ART_FILE]);
  expect(await of(() => fs.write(fh, 'x'))).toEqual([ART_FILE]);
  const source = await fs.open('other.txt', O_RDWR);
  expect(await of(() => fs.copyFileRange([source, 0], [fh, 0], 5))).toEqual([ART_FILE]);
  fs.close(source);
  fs.close(fh);
});

test('not of reading, of metadata, of a copy-up alone, and of files with other names', async () => {
  const { fs } = overlay;
  const silent = async (): Promise<void> => {
    await fs.readText(NAME);
    await fs.setattr(NAME, { mode: 0o600 });
    await fs.setxattr(NAME, 'user.a', 'b');
    await fs.writeFile('other.txt', 'changed');
    await fs.rename('other.txt', 'another.txt');
    await fs.unlink('another.txt');
    const fh = await fs.open(NAME, O_RDWR);
    fs.close(fh);
  };
  expect(await of(silent)).toEqual([]);
});

test('a name that a file gets, loses or trades', async () => {
  const { fs } = overlay;
  expect(await of(() => fs.rename(NAME, `art/${NAME}`))).toEqual([ROOT_FILE, ART_FILE]);
  expect(await of(() => fs.rename(`art/${NAME}`, 'plain'))).toEqual([ART_FILE]);
  expect(await of(() => fs.link('plain', NAME))).toEqual([ROOT_FILE]);
  expect(await of(() => fs.rename('other.txt', NAME, RENAME_EXCHANGE))).toEqual([ROOT_FILE, ROOT_FILE]);
});

test('what is written under another of its names', async () => {
  const { fs } = overlay;
  const fh = await fs.open('other.txt', O_RDWR);
  await fs.write(fh, 'x');
  await fs.link('other.txt', `art/${NAME}2`);
  expect(await of(() => fs.write(fh, 'y'))).toEqual([]);
  await fs.rename(`art/${NAME}2`, `art/${NAME}`);
  expect(await of(() => fs.write(fh, 'z'))).toEqual([ART_FILE]);
  await fs.unlink(`art/${NAME}`);
  expect(await of(() => fs.write(fh, 'y'))).toEqual([]);
  fs.close(fh);
});

test('folders that move, trade places or go', async () => {
  const { fs } = overlay;
  await fs.mkdir('empty');
  expect(await of(() => fs.rename('art', 'images'))).toEqual(['art', 'images']);
  const exchanged = await of(() => fs.rename('images', 'empty', RENAME_EXCHANGE));
  expect(exchanged).toEqual(['images', 'empty', 'images', 'empty']);
  expect(await of(() => fs.rmdir('images'))).toEqual(['images']);
});

test('not of what fails', async () => {
  const { filesystem, ctx } = overlay.fs;
  const failed = outcome(async () => filesystem.mknod(ROOT, NAME, constants.S_IFREG | 0o644, 0, ctx));
  expect(await failed).toBe('EEXIST');
  expect(heard).toEqual([]);
});

test('one after the other, also what comes of hearing', async () => {
  onChange = () => {
    if (heard.length === 1) void overlay.fs.filesystem.unlink(ROOT, NAME, overlay.fs.ctx);
  };
  await overlay.fs.setattr(NAME, { size: 0 });
  expect(heard).toEqual([ROOT_FILE, ROOT_FILE]);
});
