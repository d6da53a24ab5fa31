// Attribute files that are edited in a mount, as one program sees it that looks on.
import { beforeEach, expect, test } from 'vitest';
import { lfsOid, lfsPointer, noise } from '../support/lfs-repository.ts';
import { runProgram } from '../support/run-program.ts';
import { useServedStage } from '../support/served-stage.ts';
import type { Stage } from '../support/stage.ts';

const CONTENT = noise(300_000, 'content');
const POINTER = lfsPointer(lfsOid(CONTENT), CONTENT.length);

const served = useServedStage({
  'project/.gitattributes': '*.bin filter=lfs\n',
  'project/a.bin': POINTER,
  'project/b.dat': POINTER,
  'project/sub/a.bin': POINTER,
  'project/sub/b.dat': POINTER,
});

let stage: Stage;
beforeEach(() => {
  stage = served.stage;
});

/** Writes and looks; the kernel may need a moment to forget sizes. What is printed is what stayed wrong. */
const SCRIPT = `
import os, time
sizes = {True: ${CONTENT.length}, False: ${POINTER.length}}
def look(what, marked):
    for path in ['a.bin', 'b.dat', 'sub/a.bin', 'sub/b.dat']:
        deadline = time.monotonic() + 10
        while os.stat(path).st_size != sizes[marked(path)] and time.monotonic() < deadline: pass
        size = os.stat(path).st_size
        if size != sizes[marked(path)]: print(what, path, size)
def write(path, text):
    with open(path, 'w') as file: file.write(text)
isBin = lambda path: path.endswith('.bin')
isDat = lambda path: path.endswith('.dat')
look('start', isBin)
for turn in range(30):
    write('.gitattributes', '*.dat filter=lfs\\n')
    look(f'{turn} written', isDat)
    write('sub/.gitattributes', '*.bin filter=lfs\\n*.dat -filter\\n')
    look(f'{turn} below', lambda path: isBin(path) if path.startswith('sub') else isDat(path))
    os.rename('sub/.gitattributes', '.gitattributes')
    look(f'{turn} moved', isBin)
    os.rename('.gitattributes', 'aside')
    look(f'{turn} away', lambda path: False)
    os.rename('aside', '.gitattributes')
    look(f'{turn} back', isBin)
    os.unlink('.gitattributes')
    look(f'{turn} removed', lambda path: False)
    fd = os.open('.gitattributes', os.O_RDWR | os.O_CREAT)
    os.write(fd, b'*.bin filter=lfs\\n')
    look(f'{turn} open', isBin)
    os.ftruncate(fd, 0)
    look(f'{turn} emptied', lambda path: False)
    os.close(fd)
`;

test('each change of an attribute file counts, however it is made', async () => {
  await stage.succeed('mount', '/project', stage.path('mnt'));
  const { code, stdout, stderr } = await runProgram('python3', ['-c', SCRIPT], { cwd: stage.path('mnt') });
  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '', stderr: '' });
});
