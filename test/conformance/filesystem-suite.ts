// The conformance suite of the filesystem contract: every implementation must pass it.
import { afterEach, describe } from 'vitest';
import { FilesystemClient } from '../support/filesystem-client.ts';
import type { SeedTree } from '../support/seed-tree.ts';
import { attributeTests } from './filesystem/attributes.ts';
import { folderTests } from './filesystem/folders.ts';
import { linkTests } from './filesystem/links.ts';
import { lookupTests } from './filesystem/lookup.ts';
import { lowerFileTests } from './filesystem/lower-files.ts';
import { lowerFolderTests } from './filesystem/lower-folders.ts';
import { openFileTests } from './filesystem/open-files.ts';
import { overlappingTests } from './filesystem/overlapping.ts';
import { persistenceTests } from './filesystem/persistence.ts';
import { readdirTests, referenceTests } from './filesystem/readdir.ts';
import { renameTests } from './filesystem/rename.ts';
import { spaceTests } from './filesystem/space.ts';
import type { FilesystemFactory, FilesystemSubject, Session } from './filesystem/subject.ts';
import { timeTests } from './filesystem/times.ts';
import { xattrTests } from './filesystem/xattr.ts';

/** Registers the suite for what a factory makes. */
export function filesystemSuite(name: string, factory: FilesystemFactory): void {
  describe(name, () => {
    const started: { subject: FilesystemSubject; client: FilesystemClient }[] = [];

    const start = async (seed: SeedTree = {}): Promise<Session> => {
      const subject = await factory.create(seed);
      const running = { subject, client: new FilesystemClient(subject.filesystem) };
      started.push(running);
      return {
        fs: running.client,
        reopen: async () => {
          running.client.forgetAll();
          if (subject.reopen === undefined) throw new Error('this filesystem does not persist');
          running.client = new FilesystemClient(await subject.reopen());
          return running.client;
        },
      };
    };

    afterEach(async () => {
      for (const { subject, client } of started.splice(0)) {
        client.forgetAll();
        await subject.dispose();
      }
    });

    lookupTests(start);
    attributeTests(start);
    openFileTests(start);
    folderTests(start);
    renameTests(start);
    linkTests(start);
    xattrTests(start);
    spaceTests(start);
    readdirTests(start);
    referenceTests(start);
    timeTests(start);
    describe('over a lower tree', () => {
      lowerFileTests(start);
      lowerFolderTests(start);
      overlappingTests(start);
    });
    if (factory.persists) persistenceTests(start, factory.keepsLowerInodeNumbers);
  });
}
