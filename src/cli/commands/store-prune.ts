// `scorpio store prune`: makes the local store smaller now.
import { formatByteSize } from '../../util/byte-size.ts';
import { CliError } from '../cli-error.ts';
import { createContext, type GlobalOptions } from '../cli-context.ts';
import { ExitCode } from '../exit-codes.ts';
import { note, print, printJson } from '../output.ts';
import { openExistingStore, storeFields, usedBytes } from '../store-room.ts';

/** Prunes, also while a daemon runs: what its mounts have open stays. */
export async function runStorePrune(
  globals: GlobalOptions,
  options: { to?: number; json?: boolean },
): Promise<number> {
  const { config } = await createContext(globals);
  await using store = openExistingStore(config);
  if (store === undefined) {
    note(`note: there is no store at ${config.storePath} yet`);
    if (options.json === true) printJson({ removed_blobs: 0, removed_bytes: 0 });
    return ExitCode.ok;
  }
  const target = options.to ?? store.status().limitBytes;
  if (target === Number.POSITIVE_INFINITY) {
    throw new CliError(
      'store_limit is 0, so nothing has to go; say how small with --to SIZE',
      ExitCode.config,
    );
  }
  const removed = await store.prune(target);
  const status = store.status();
  if (options.json === true) {
    printJson({
      ...storeFields(config, status),
      removed_blobs: removed.blobs,
      removed_bytes: removed.bytes,
    });
    return ExitCode.ok;
  }
  const left = formatByteSize(usedBytes(status));
  print(`removed ${removed.blobs} files, ${formatByteSize(removed.bytes)}; the store takes ${left}`);
  if (usedBytes(status) > target) {
    note('note: the rest is in use, protected, or metadata');
  }
  return ExitCode.ok;
}
