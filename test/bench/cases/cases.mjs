// The cases, in the order in which they run.
import { files } from './files.mjs';
import { git } from './git.mjs';
import { large } from './large.mjs';
import { latency } from './latency.mjs';
import { lfs } from './lfs.mjs';
import { memory } from './memory.mjs';
import { mount } from './mount.mjs';
import { project } from './project.mjs';
import { tree } from './tree.mjs';
import { write } from './write.mjs';

/** By name. A case takes a Stage and resolves with its rows. */
export const cases = { mount, tree, files, large, lfs, latency, write, memory, git, project };

/** What a quick run leaves out, unless it is named. */
export const SLOW_CASES = ['project', 'memory'];
