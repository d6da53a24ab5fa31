// An owner to give files to. Only root may give them to others; for anybody else it is themselves.

const isRoot = process.getuid?.() === 0;

/** Another user and group for root, the own ones for everybody else. */
export const otherOwner: { readonly uid: number; readonly gid: number } = isRoot
  ? { uid: 1234, gid: 4321 }
  : { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
