// Lint rules. The second half holds the layers of docs/architecture.md: imports point down only.
const folders = [
  'cli',
  'daemon',
  'http',
  'mount',
  'fuse',
  'overlay',
  'layers',
  'objects',
  'lfs',
  'git',
  'upstream',
  'lfs-server',
  'mega-server',
  'config',
  'util',
];

/** Which folders of src/ a folder may import, apart from itself. */
const mayImport = {
  cli: ['daemon', 'http', 'mount', 'objects', 'upstream', 'lfs-server', 'mega-server', 'config', 'util'],
  daemon: [
    'http',
    'mount',
    'fuse',
    'overlay',
    'layers',
    'objects',
    'upstream',
    'lfs',
    'git',
    'config',
    'util',
  ],
  http: ['mount', 'config', 'util'],
  mount: ['fuse', 'overlay', 'layers', 'objects', 'lfs', 'git', 'upstream', 'config', 'util'],
  overlay: ['fuse', 'layers', 'util'],
  fuse: ['layers', 'upstream', 'util'],
  layers: ['objects', 'lfs', 'git', 'upstream', 'util'],
  objects: ['git', 'upstream', 'util'],
  lfs: ['git', 'upstream', 'util', 'config'],
  upstream: ['git', 'util'],
  git: ['util'],
  'lfs-server': ['lfs', 'util', 'config'],
  'mega-server': ['git', 'lfs', 'util'],
  config: ['util'],
  util: [],
};

/** Packages that only some folders may know. */
const packageHomes = {
  koffi: ['fuse/kernel', 'fuse/native', 'util'],
  'better-sqlite3': ['objects', 'lfs-server'],
  level: ['lfs'],
  'smol-toml': ['config'],
  commander: ['cli'],
  fastify: ['http', 'daemon', 'mega-server', 'lfs-server'],
  'fuse-native': ['fuse'],
};

const layerRule = (folder, base = folder) => {
  const forbidden = folders.filter((other) => other !== base && !mayImport[base].includes(other));
  const packages = Object.keys(packageHomes).filter(
    (name) => !packageHomes[name].some((home) => folder === home || folder.startsWith(`${home}/`)),
  );
  return {
    files: [`src/${folder}/**/*.ts`],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          paths: packages.map((name) => ({
            name,
            message: `only src/{${packageHomes[name]}} may use ${name}`,
          })),
          patterns: forbidden.map((other) => ({
            // Folders further down may have the same name: what follows the last `../` counts.
            regex: String.raw`^(?:\.\./)+${other}/`,
            message: `src/${base} must not import src/${other} (docs/architecture.md)`,
          })),
        },
      ],
    },
  };
};

export default {
  plugins: ['typescript', 'import', 'unicorn', 'oxc', 'promise', 'node'],
  categories: { correctness: 'error', suspicious: 'error' },
  options: { typeAware: true },
  ignorePatterns: ['dist/**', 'node_modules/**', 'coverage/**'],
  rules: {
    'typescript/no-floating-promises': 'error',
    'typescript/no-misused-promises': 'error',
    'typescript/no-explicit-any': 'error',
    'typescript/consistent-type-imports': 'error',
    'import/no-cycle': 'error',
    'import/no-default-export': 'error',
    'max-lines': ['error', { max: 500 }],
    'max-lines-per-function': ['error', { max: 80, skipComments: true, skipBlankLines: true }],
    'no-await-in-loop': 'off',
    'no-underscore-dangle': 'off',
    'unicorn/consistent-function-scoping': 'off',
    'unicorn/no-array-sort': 'off',
    'unicorn/no-array-reverse': 'off',
    'promise/always-return': 'off',
    'import/no-unassigned-import': 'off',
    'import/no-named-as-default-member': 'off',
    // Callbacks and promises meet wherever a value may be there at once or come later.
    'promise/no-callback-in-promise': 'off',
    'promise/no-promise-in-callback': 'off',
    // They take what changes elsewhere, and handlers of another framework, for mistakes.
    'no-unmodified-loop-condition': 'off',
    'oxc/no-async-endpoint-handlers': 'off',
    'unicorn/no-invalid-fetch-options': 'off',
    'typescript/no-unnecessary-type-parameters': 'off',
    'typescript/consistent-return': 'off',
    'typescript/no-unsafe-type-assertion': 'off',
    'no-shadow': 'off',
  },
  overrides: [
    ...folders.filter((folder) => folder !== 'fuse').map((folder) => layerRule(folder)),
    layerRule('fuse'),
    layerRule('fuse/kernel', 'fuse'),
    layerRule('fuse/native', 'fuse'),
    {
      files: ['*.config.{ts,mjs}'],
      rules: { 'import/no-default-export': 'off' },
    },
    {
      files: ['test/**/*.{ts,mjs}'],
      rules: {
        'max-lines-per-function': 'off',
        'promise/param-names': 'off',
        'unicorn/no-array-fill-with-reference-type': 'off',
        'typescript/no-misused-promises': 'off',
      },
    },
  ],
};
