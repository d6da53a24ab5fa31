// Whiteouts in the style of container images: read where other programs left them, never made by what users do.
import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { constants } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { seedFile } from '../../support/seed-tree.ts';
import { UpperOverlay } from '../../support/upper-overlay.ts';

let overlay: UpperOverlay;

beforeEach(() => {
  overlay = new UpperOverlay({
    one: seedFile('lower one'),
    two: seedFile('lower two'),
    'dir/a': seedFile('lower a'),
    'dir/sub/b': seedFile('lower b'),
    'dir/.wh.kept': seedFile(''),
    'dir/kept': seedFile('lower kept'),
    'other/c': seedFile('lower c'),
  });
});

afterEach(() => overlay.dispose());

/** Fills the upper folder as another program did. Names that end in a slash are folders. */
async function fill(...names: string[]): Promise<void> {
  await overlay.reopen(() => {
    for (const name of names) {
      if (name.endsWith('/')) mkdirSync(overlay.upper(name), { recursive: true });
      else writeFileSync(overlay.upper(name), '');
    }
  });
}

const list = async (path = ''): Promise<string[]> =>
  (await overlay.fs.list(path)).map(({ name }) => name).sort();

/** The same before and after everything is read from the disk anew, listed first or looked up first. */
async function always(check: () => Promise<void>): Promise<void> {
  await check();
  await overlay.reopen();
  await check();
}

describe('an empty file .wh.NAME', () => {
  test('hides NAME, and itself', async () => {
    await fill('.wh.one');
    await always(async () => {
      expect(await overlay.fs.exists('one')).toBe(false);
      expect(await overlay.fs.exists('.wh.one')).toBe(false);
      expect(await list()).toEqual(['dir', 'other', 'two']);
      expect(await overlay.fs.exists('one')).toBe(false);
    });
  });

  test('hides what is below, not what is beside it', async () => {
    await fill('.wh.one', '.wh.dir', 'dir/', 'dir/new');
    writeFileSync(overlay.upper('one'), 'upper one');
    await overlay.reopen();
    await always(async () => {
      expect(await overlay.fs.readText('one')).toBe('upper one');
      expect(await list('dir')).toEqual(['new']);
    });
  });

  test('lets NAME be made, removed and made again, and a folder in its place is empty', async () => {
    await fill('.wh.one', '.wh.dir');
    await overlay.fs.writeFile('one', 'new');
    await overlay.fs.mkdir('dir');
    await always(async () => {
      expect(await overlay.fs.readText('one')).toBe('new');
      expect(await list('dir')).toEqual([]);
    });
    await overlay.fs.unlink('one');
    await overlay.fs.rmdir('dir');
    await always(async () => expect(await list()).toEqual(['other', 'two']));
    await overlay.fs.rename('other', 'dir');
    await always(async () => expect(await list('dir')).toEqual(['c']));
    await overlay.fs.rename('two', 'one');
    await always(async () => expect(await overlay.fs.readText('one')).toBe('lower two'));
  });

  test('does not keep its folder from being removed, or replaced', async () => {
    await fill(
      'dir/',
      'dir/.wh.a',
      'dir/.wh.sub',
      'dir/.wh..wh.kept',
      'dir/.wh.kept',
      'other/',
      'other/.wh.c',
    );
    expect(await list('dir')).toEqual([]);
    await overlay.fs.rmdir('dir');
    await overlay.fs.mkdir('full');
    await overlay.fs.writeFile('full/file', 'x');
    await overlay.fs.rename('full', 'other');
    await always(async () => {
      expect(await list()).toEqual(['one', 'other', 'two']);
      expect(await list('other')).toEqual(['file']);
    });
  });

  test('gives its name to a file of a user, and NAME stays hidden', async () => {
    await fill('.wh.one', '.wh.dir', 'other/', 'other/.wh..wh..opq');
    await overlay.fs.writeFile('.wh.one', '');
    await overlay.fs.mkdir('.wh.dir');
    await overlay.fs.writeFile('other/.wh..wh..opq', '');
    await always(async () => {
      expect(await list()).toEqual(['.wh.dir', '.wh.one', 'other', 'two']);
      expect(await list('other')).toEqual(['.wh..wh..opq']);
      expect(await overlay.fs.exists('one')).toBe(false);
    });
    const stat = lstatSync(overlay.upper('one'));
    expect(stat.isCharacterDevice() && stat.rdev === 0).toBe(true);
  });

  test('is taken over by a rename and a link, too', async () => {
    await fill('.wh.one', '.wh.two');
    await overlay.fs.writeFile('empty', '');
    await overlay.fs.link('empty', '.wh.one');
    await overlay.fs.rename('empty', '.wh.two');
    await always(async () => {
      expect(await list()).toEqual(['.wh.one', '.wh.two', 'dir', 'other']);
    });
  });
});

describe('an empty file .wh..wh..opq', () => {
  test('hides everything below its folder, and itself', async () => {
    await fill('dir/', 'dir/.wh..wh..opq', 'dir/new');
    await always(async () => {
      expect(await overlay.fs.exists('dir/a')).toBe(false);
      expect(await list('dir')).toEqual(['new']);
      expect(await overlay.fs.exists('dir/.wh..wh..opq')).toBe(false);
    });
    await overlay.fs.unlink('dir/new');
    await overlay.fs.rmdir('dir');
    await always(async () => expect(await list()).toEqual(['one', 'other', 'two']));
  });

  test('does so in the root', async () => {
    await fill('.wh..wh..opq', 'new');
    await always(async () => expect(await list()).toEqual(['new']));
  });
});

describe('a file that a user calls .wh.NAME', () => {
  const makers: Record<string, (path: string) => Promise<void>> = {
    created: (path) => overlay.fs.writeFile(path, ''),
    'created without the right to write it': (path) => overlay.fs.writeFile(path, '', 0o400),
    linked: async (path) => {
      await overlay.fs.writeFile('unsuspicious', '', 0o444);
      await overlay.fs.link('unsuspicious', path);
      await overlay.fs.unlink('unsuspicious');
    },
    renamed: async (path) => {
      await overlay.fs.writeFile('unsuspicious', '');
      await overlay.fs.rename('unsuspicious', path);
    },
    exchanged: async (path) => {
      await overlay.fs.mkdir(path);
      await overlay.fs.writeFile('unsuspicious', '');
      await overlay.fs.rename('unsuspicious', path, 2);
      await overlay.fs.rmdir('unsuspicious');
    },
    'made by mknod': async (path) => void (await overlay.fs.mknod(path, constants.S_IFREG | 0o644)),
    'emptied later': async (path) => {
      await overlay.fs.writeFile(path, 'content');
      await overlay.fs.setattr(path, { size: 0 });
    },
  };

  test.each(Object.keys(makers))('(%s) is a file, and hides nothing, also after a new mount', async (how) => {
    await makers[how]?.('.wh.one');
    await makers[how]?.('dir/.wh..wh..opq');
    await always(async () => {
      expect(await list()).toEqual(['.wh.one', 'dir', 'one', 'other', 'two']);
      expect(await list('dir')).toEqual(['.wh..wh..opq', '.wh.kept', 'a', 'kept', 'sub']);
      expect(await overlay.fs.readText('one')).toBe('lower one');
      expect(await overlay.fs.readText('.wh.one')).toBe('');
      expect(await overlay.fs.listxattr('.wh.one')).toEqual([]);
    });
    await overlay.fs.unlink('.wh.one');
    await always(async () => expect(await list()).toEqual(['dir', 'one', 'other', 'two']));
  });

  test('and that the repository has hides nothing when it is copied up', async () => {
    await overlay.fs.setattr('dir/.wh.kept', { mode: 0o600 });
    expect(existsSync(overlay.upper('dir', '.wh.kept'))).toBe(true);
    await always(async () => expect(await list('dir')).toEqual(['.wh.kept', 'a', 'kept', 'sub']));
  });
});

test('a name of 255 bytes is looked up beside no whiteout', async () => {
  await fill('.wh.one');
  const name = 'n'.repeat(255);
  expect(await overlay.fs.exists(name)).toBe(false);
  await overlay.fs.writeFile(name, 'x');
  expect(await overlay.fs.readText(name)).toBe('x');
  expect(readdirSync(overlay.upper())).toContain(name);
});

test('a folder that fuse-overlayfs made opaque as an ordinary user is opaque', async () => {
  await fill('dir/', 'dir/new');
  await overlay.reopen(() => {
    execFileSync('python3', [
      '-c',
      `import os, sys; os.setxattr(sys.argv[1], 'user.fuseoverlayfs.opaque', b'y')`,
      overlay.upper('dir'),
    ]);
  });
  await always(async () => {
    expect(await list('dir')).toEqual(['new']);
    expect(await overlay.fs.listxattr('dir')).toEqual([]);
  });
});

describe('a name in the style of container images', () => {
  test('can be given to a folder of the repository, in the place of a whiteout', async () => {
    await fill('.wh.one');
    await overlay.fs.rename('dir', '.wh.one');
    await always(async () => {
      expect(await list()).toEqual(['.wh.one', 'other', 'two']);
      expect(await list('.wh.one')).toEqual(['.wh.kept', 'a', 'kept', 'sub']);
      expect(await overlay.fs.exists('dir')).toBe(false);
      expect(await overlay.fs.exists('one')).toBe(false);
    });
  });

  test.each(['truncated', 'emptied in the place of another'])('is kept by a file that is %s', async (how) => {
    await overlay.reopen(() => {
      writeFileSync(overlay.upper('.wh.one'), 'has content, so it is a file');
      writeFileSync(overlay.upper('full'), 'is not empty yet');
    });
    if (how === 'truncated') {
      await overlay.fs.setattr('.wh.one', { size: 0 });
    } else {
      await overlay.fs.rename('full', '.wh.one');
      await overlay.fs.setattr('.wh.one', { size: 0 });
    }
    await always(async () => {
      expect(await overlay.fs.readText('.wh.one')).toBe('');
      expect(await overlay.fs.readText('one')).toBe('lower one');
    });
  });
});
