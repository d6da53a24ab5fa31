// All operations, and what is answered to the requests that are none.
import { Errno } from '../../../util/errno.ts';
import { type Operation, encodeNothing } from '../operation.ts';
import { Opcode } from '../protocol.ts';
import { attributeOperations } from './attributes.ts';
import { entryOperations } from './entries.ts';
import { fileOperations } from './files.ts';
import { folderOperations } from './folders.ts';
import { xattrOperations } from './xattrs.ts';

/** The kernel says goodbye; what there is to do happens when the device ends. */
const destroy: Operation<void> = { name: 'DESTROY', call: () => undefined, encode: encodeNothing };

const table: (Operation | undefined)[] = [];
for (const group of [
  entryOperations,
  attributeOperations,
  fileOperations,
  folderOperations,
  xattrOperations,
]) {
  for (const [opcode, operation] of Object.entries(group)) table[Number(opcode)] = operation;
}
table[Opcode.DESTROY] = destroy;

/** How a request with this opcode is answered; undefined where `refusal` is the answer. */
export function operationFor(opcode: number): Operation | undefined {
  return table[opcode];
}

/**
 * The errno for a request without an operation. ENOSYS is an answer for good: the kernel stops asking (FLUSH, ACCESS),
 * keeps folders by itself (OPENDIR), or does without (POLL, BMAP, STATX).
 */
export function refusal(opcode: number): number {
  // A program that tries an ioctl on a file expects this one, as from any file without it.
  return opcode === Opcode.IOCTL ? Errno.ENOTTY : Errno.ENOSYS;
}
