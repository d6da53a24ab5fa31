// Where the store keeps large files: Git LFS's own layout for complete ones, so that git-lfs can share the folder.

/** Path of a complete object. `directory` is the store's folder; `oid` 64 hexadecimal digits, which nobody checks here. */
export function largeFilePath(directory: string, oid: string): string {
  return `${directory}/lfs/objects/${oid.slice(0, 2)}/${oid.slice(2, 4)}/${oid}`;
}

/** Folder of an object that is arriving: `data`, and `ranges`, which tells what of it is there. */
export function arrivingFilePath(directory: string, oid: string): string {
  return `${directory}/lfs/incomplete/${oid}`;
}
