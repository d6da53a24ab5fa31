# The folder that each scenario gets, in each of the states that an object of an overlay can be in.
import os, shutil, stat

# How the folder came to be in the state in which the scenario finds it. On a plain filesystem all are the same.
ORIGINS = ('lower', 'upper', 'metadata', 'content', 'renamed')


def every(path):
    """All objects in a folder and the folder itself, parents first."""
    yield path
    for parent, folders, files in os.walk(path):
        for name in sorted(folders + files):
            yield os.path.join(parent, name)


def prepare(origin, slot):
    """Brings the folder `slot`, which holds the template, into its state."""
    if origin == 'upper':
        shutil.copytree(slot, slot + '.new', symlinks=True)
        shutil.rmtree(slot)
        os.rename(slot + '.new', slot)
    elif origin == 'renamed':
        os.rename(slot, slot + '.new')
        os.mkdir(slot)
        os.rename(slot + '.new/d', slot + '/d')
        os.rename(slot + '/d', slot + '.new/d')
        os.rmdir(slot)
        os.rename(slot + '.new', slot)
    elif origin in ('metadata', 'content'):
        for path in every(slot):
            found = os.lstat(path)
            if stat.S_ISLNK(found.st_mode):
                os.lchown(path, found.st_uid, found.st_gid)
                continue
            os.chmod(path, stat.S_IMODE(found.st_mode))
            if origin == 'content' and stat.S_ISREG(found.st_mode):
                with open(path, 'r+b') as file:
                    first = file.read(1)
                    file.seek(0)
                    file.write(first)
