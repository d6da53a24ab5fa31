// Asks the real git for the attributes of paths.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { AttributeRules, FileAttributes } from '../../../../src/lfs/attributes/attribute-rules.ts';
import { createRootRules } from '../../../../src/lfs/attributes/folder-rules.ts';
import { plainEnvironment } from '../../../support/run-program.ts';

/** Attribute files by folder (latin1, `''` for the root), latin1. */
export type AttributeTree = Readonly<Record<string, string>>;

/** What a tree of attribute files says of paths, in a repository below `parent`; `global` counts least. */
export function askGit(
  parent: string,
  tree: AttributeTree,
  paths: readonly string[],
  global?: string,
): FileAttributes[] {
  const root = mkdtempSync(join(parent, 'tree-'));
  try {
    const run = (args: string[], input?: Buffer): Buffer =>
      execFileSync('git', args, {
        cwd: root,
        env: { ...plainEnvironment(), HOME: root },
        input,
        stdio: ['pipe', 'pipe', 'ignore'],
        timeout: 60_000,
      });
    run(['init', '-q']);
    if (global !== undefined) {
      writeFileSync(join(root, '.git/global'), global, 'latin1');
      run(['config', 'core.attributesFile', join(root, '.git/global')]);
    }
    for (const [folder, content] of Object.entries(tree)) {
      const file = Buffer.from(join(root, folder, '.gitattributes'), 'latin1');
      mkdirSync(Buffer.from(dirname(file.toString('latin1')), 'latin1'), { recursive: true });
      writeFileSync(file, content, 'latin1');
    }
    const input = Buffer.from(paths.map((path) => `${path}\0`).join(''), 'latin1');
    const words = run(['check-attr', '--stdin', '-z', 'filter', 'lockable'], input)
      .toString('latin1')
      .split('\0');
    return paths.map((path, index) => {
      const at = index * 6;
      if (words[at] !== path || words[at + 3] !== path)
        throw new Error(`git answered of ${words[at]}, not ${path}`);
      return { isLfs: words[at + 2] === 'lfs', isLockable: ['set', 'true'].includes(words[at + 5] ?? '') };
    });
  } finally {
    rmSync(root, { recursive: true });
  }
}

/** The rules of the folder of a path. */
export function rulesAt(tree: AttributeTree, folder: string, global?: string): AttributeRules {
  const bytes = (text: string | undefined): Buffer | undefined =>
    text === undefined ? undefined : Buffer.from(text, 'latin1');
  let rules = createRootRules({ files: { gitattributes: bytes(tree['']) }, global: bytes(global) });
  let at = '';
  for (const name of folder === '' ? [] : folder.split('/')) {
    at = at === '' ? name : `${at}/${name}`;
    rules = rules.inside(name, { gitattributes: bytes(tree[at]) });
  }
  return rules;
}

/** What the project's rules say of paths. */
export function askRules(tree: AttributeTree, paths: readonly string[], global?: string): FileAttributes[] {
  return paths.map((path) => {
    const slash = path.lastIndexOf('/');
    return rulesAt(tree, path.slice(0, Math.max(slash, 0)), global).of(path.slice(slash + 1));
  });
}
