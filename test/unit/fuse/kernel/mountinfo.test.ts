// Parsing mountinfo.
import { describe, expect, it } from 'vitest';
import { findMount, listMounts, parseMountinfo } from '../../../../src/fuse/kernel/mountinfo.ts';

const TEXT = String.raw`22 1 254:0 / / rw,relatime - ext4 /dev/root rw,discard
36 22 0:41 /sub /mnt/a\040b\134c\011d rw,nosuid,nodev,relatime shared:7 master:2 - fuse.scorpio scorpio:/x,\040y rw,user_id=0,group_id=0
37 22 0:42 / /mnt/ünï rw - tmpfs  rw
not a line of mountinfo
`;

describe('parseMountinfo', () => {
  const mounts = parseMountinfo(TEXT);

  it('reads every field and skips what is no mount', () => {
    expect(mounts).toHaveLength(3);
    expect(mounts[0]).toEqual({
      id: 22,
      parentId: 1,
      major: 254,
      minor: 0,
      root: '/',
      mountpoint: '/',
      options: ['rw', 'relatime'],
      type: 'ext4',
      source: '/dev/root',
      superOptions: ['rw', 'discard'],
    });
  });

  it('undoes octal escapes, and copes with optional fields', () => {
    expect(mounts[1]).toMatchObject({
      mountpoint: '/mnt/a b\\c\td',
      type: 'fuse.scorpio',
      source: 'scorpio:/x, y',
      minor: 41,
      root: '/sub',
      superOptions: ['rw', 'user_id=0', 'group_id=0'],
    });
  });

  it('keeps UTF-8 and an empty source', () => {
    expect(mounts[2]).toMatchObject({ mountpoint: '/mnt/ünï', source: '', superOptions: ['rw'] });
  });
});

describe('findMount', () => {
  it('finds what is mounted on a path, and nothing on others', () => {
    expect(listMounts().length).toBeGreaterThan(1);
    expect(findMount('/proc')).toMatchObject({ type: 'proc', mountpoint: '/proc' });
    expect(findMount('/proc/self')).toBeUndefined();
  });
});
