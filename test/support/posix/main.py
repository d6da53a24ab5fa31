# Runs scenarios in a folder: `main.py --list` prints what there is, `main.py ROOT` runs all of it. ROOT holds one copy
# of the template for each pair of origin and scenario, named `origin-scenario`. Prints { pair: [[label, outcome]] }.
import importlib, json, os, shutil, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
from template import ORIGINS, prepare

MODULES = ('names', 'folders', 'attributes', 'files', 'ranges', 'special', 'users', 'limits')


def unlock(folder):
    """Opens folders to their owner, who is to remove them."""
    os.chmod(folder, 0o755)
    for parent, folders, _ in os.walk(folder):
        for name in folders:
            path = os.path.join(parent, name)
            if not os.path.islink(path):
                os.chmod(path, 0o755)


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    for module in MODULES:
        if os.path.exists(os.path.join(here, module + '_scenarios.py')):
            importlib.import_module(module + '_scenarios')
    is_root = os.geteuid() == 0
    wanted = [name for name in harness.scenarios if is_root or not name.startswith('root_')]
    pairs = [(origin, name) for name in wanted for origin in ORIGINS]
    if sys.argv[1] == '--list':
        print(json.dumps(['%s-%s' % pair for pair in pairs]))
        return
    root = os.path.realpath(sys.argv[1])
    only = sys.argv[2] if len(sys.argv) > 2 else ''
    results = {}
    for origin, name in pairs:
        if only not in name:
            continue
        slot = os.path.join(root, '%s-%s' % (origin, name))
        os.umask(0o022)
        prepare(origin, slot)
        case = harness.Case(origin)
        os.chdir(slot)
        try:
            harness.scenarios[name](case)
        except Exception as error:
            case.log.append(['failed', repr(error).replace(root, '')])
        os.chdir('/')
        unlock(slot)
        results['%s-%s' % (origin, name)] = case.log
    print(json.dumps(results))


main()
