// `scorpio store status`: what the local store takes, and what it may take.
import { formatByteSize } from '../../util/byte-size.ts';
import { createContext, type GlobalOptions } from '../cli-context.ts';
import { ExitCode } from '../exit-codes.ts';
import { note, print, printJson } from '../output.ts';
import { describeRoom, readStoreStatus, storeFields } from '../store-room.ts';

/** Prints it. It is an estimate within seconds of use, as long as not all files were counted within hours. */
export async function runStoreStatus(globals: GlobalOptions, options: { json?: boolean }): Promise<number> {
  const { config } = await createContext(globals);
  const status = await readStoreStatus(config);
  if (status === undefined) {
    if (options.json === true) printJson({ path: config.storePath, blobs: 0, used_bytes: 0 });
    else note(`note: there is no store at ${config.storePath} yet`);
    return ExitCode.ok;
  }
  if (options.json === true) {
    printJson(storeFields(config, status));
    return ExitCode.ok;
  }
  const guarded = status.protectedBlobs === 0 ? '' : `, ${status.protectedBlobs} of them protected`;
  print(`store     ${config.storePath}`);
  print(`files     ${status.blobs}, ${formatByteSize(status.blobBytes)}${guarded}`);
  print(`large     ${status.largeFiles}, ${formatByteSize(status.largeFileBytes)}`);
  print(`metadata  ${formatByteSize(status.metadataBytes)}`);
  print(`room      ${describeRoom(status)}`);
  return ExitCode.ok;
}
