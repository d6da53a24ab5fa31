// Conformance: statfs, fallocate, holes, copying between open files.
import { constants } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { expectBytes, outcome } from '../../support/filesystem-assertions.ts';
import { ROOT } from '../../support/filesystem-client.ts';
import { randomBytes } from '../../support/random.ts';
import type { Start } from './subject.ts';

const KEEP_SIZE = 1;
const PUNCH_HOLE = 2;
const ZERO_RANGE = 0x10;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;

/** Tests of `statfs`, `fallocate`, `lseek` and `copyFileRange`. */
export function spaceTests(start: Start): void {
  describe('statfs', () => {
    test('gives plausible numbers for any object', async () => {
      const { fs } = await start();
      await fs.writeFile('file', '');
      for (const ino of [ROOT, await fs.resolve('file')]) {
        const numbers = await fs.filesystem.statfs(ino, fs.ctx);
        expect(numbers.nameMax).toBe(255);
        expect(numbers.blockSize).toBeGreaterThanOrEqual(512);
        expect(numbers.blocks).toBeGreaterThan(0);
        expect(numbers.blocksFree).toBeLessThanOrEqual(numbers.blocks);
        expect(numbers.blocksAvailable).toBeLessThanOrEqual(numbers.blocksFree);
        expect(numbers.filesFree).toBeLessThanOrEqual(numbers.files);
      }
    });
  });

  describe('fallocate', () => {
    test('grows a file with zeros and never touches content', async () => {
      const { fs } = await start();
      const { fh } = await fs.create('file');
      await fs.write(fh, 'abc');
      await fs.fallocate(fh, 0, 0, 8192);
      const content = await fs.readFile('file');
      expect(content.length).toBe(8192);
      expect(content.subarray(0, 4).toString('latin1')).toBe('abc\0');
      await fs.fallocate(fh, 0, 0, 100);
      expect((await fs.stat('file')).size).toBe(8192);
    });

    test('with KEEP_SIZE leaves the size', async () => {
      const { fs } = await start();
      const { fh } = await fs.create('file');
      await fs.write(fh, 'abc');
      await fs.fallocate(fh, KEEP_SIZE, 0, 100_000);
      expect(await fs.readText('file')).toBe('abc');
    });

    test('punches holes that read as zeros', async () => {
      const { fs } = await start();
      const { fh } = await fs.create('file');
      await fs.write(fh, Buffer.alloc(20_000, 'x'));
      await fs.fallocate(fh, PUNCH_HOLE | KEEP_SIZE, 4096, 8192);
      const content = await fs.readFile('file');
      expect(content.length).toBe(20_000);
      expect(content.subarray(4096, 12_288).every((byte) => byte === 0)).toBe(true);
      expect(content[4095]).toBe(0x78);
      expect(content[12_288]).toBe(0x78);
    });

    test('zeros ranges, also beyond the end', async () => {
      const { fs } = await start();
      const { fh } = await fs.create('file');
      await fs.write(fh, Buffer.alloc(100, 'x'));
      await fs.fallocate(fh, ZERO_RANGE, 50, 100);
      const content = await fs.readText('file');
      expect(content).toBe('x'.repeat(50) + '\0'.repeat(100));
    });

    test('bad ranges are EINVAL, unknown modes EOPNOTSUPP', async () => {
      const { fs } = await start();
      const { fh } = await fs.create('file');
      expect(await outcome(() => fs.fallocate(fh, 0, 0, 0))).toBe('EINVAL');
      expect(await outcome(() => fs.fallocate(fh, 0, -1, 10))).toBe('EINVAL');
      expect(await outcome(() => fs.fallocate(fh, 0x8000, 0, 10))).toBe('EOPNOTSUPP');
    });
  });

  describe('lseek', () => {
    test('finds data at the start and the hole at the end of a dense file', async () => {
      const { fs } = await start();
      const { fh } = await fs.create('file');
      await fs.write(fh, Buffer.alloc(10_000, 'x'));
      expect(await fs.lseek(fh, 0, SEEK_DATA)).toBe(0);
      expect(await fs.lseek(fh, 5000, SEEK_DATA)).toBe(5000);
      expect(await fs.lseek(fh, 0, SEEK_HOLE)).toBe(10_000);
      expect(await outcome(() => fs.lseek(fh, 10_000, SEEK_DATA))).toBe('ENXIO');
      expect(await outcome(() => fs.lseek(fh, 10_001, SEEK_HOLE))).toBe('ENXIO');
    });

    test('never takes data for a hole', async () => {
      const { fs } = await start();
      const { fh } = await fs.create('file');
      const where = 5 * 2 ** 20;
      await fs.write(fh, 'data', where);
      expect(await fs.lseek(fh, 0, SEEK_DATA)).toBeLessThanOrEqual(where);
      expect(await fs.lseek(fh, where, SEEK_DATA)).toBe(where);
      expect(await fs.lseek(fh, where, SEEK_HOLE)).toBe(where + 4);
    });
  });

  describe('copyFileRange', () => {
    test('copies between files and returns how much', async () => {
      const { fs } = await start();
      const content = randomBytes(200_000, 3);
      await fs.writeFile('from', content);
      await fs.writeFile('to', 'start');
      const from = await fs.open('from');
      const to = await fs.open('to', constants.O_RDWR);
      let copied = 0;
      while (copied < 150_000) {
        const count = await fs.copyFileRange([from, 10 + copied], [to, 5 + copied], 150_000 - copied);
        expect(count).toBeGreaterThan(0);
        copied += count;
      }
      expect(copied).toBe(150_000);
      expectBytes(
        await fs.readFile('to'),
        Buffer.concat([Buffer.from('start'), content.subarray(10, 150_010)]),
      );
    });

    test('stops at the end of the source', async () => {
      const { fs } = await start();
      await fs.writeFile('from', 'abc');
      const from = await fs.open('from');
      const { fh: to } = await fs.create('to');
      expect(await fs.copyFileRange([from, 1], [to, 0], 100)).toBe(2);
      expect(await fs.copyFileRange([from, 3], [to, 2], 100)).toBe(0);
      expect(await fs.readText('to')).toBe('bc');
    });
  });
}
