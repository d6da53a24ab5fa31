// Runs Python for system calls that Node does not have. The mounted tests need python3 on the machine.
import { execFile } from 'node:child_process';

const TIMEOUT_MS = 20_000;

const PRELUDE = `
import ctypes, errno, fcntl, mmap, os, socket, stat, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def call(name, *args):
    function = getattr(libc, name)
    result = function(*args)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
def main():
`;

const POSTLUDE = `
try:
    main()
except OSError as error:
    print(errno.errorcode.get(error.errno, str(error.errno)))
`;

/**
 * Runs statements with \`sys.argv[1:]\` set to the arguments; \`call(name, ...)\` calls a function of libc. Resolves with
 * what they print; an OSError that they do not catch prints the name of its errno.
 */
export function python(code: string, ...args: string[]): Promise<string> {
  const body = code
    .split('\n')
    .map((line) => `    ${line}`)
    .join('\n');
  return new Promise((resolve, reject) => {
    const program = `${PRELUDE}${body}\n${POSTLUDE}`;
    execFile(
      'python3',
      ['-c', program, ...args],
      { timeout: TIMEOUT_MS, killSignal: 'SIGKILL' },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout.trim());
        else reject(new Error(`python3: ${stderr || error.message}`));
      },
    );
  });
}
