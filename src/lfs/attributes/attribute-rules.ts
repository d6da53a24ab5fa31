// The contract of attributes: what .gitattributes and .libra_attributes say of the files of one folder.

/** The attributes that matter here. */
export interface FileAttributes {
  /** `filter=lfs`: content is an LFS object, and the repository has a pointer. */
  readonly isLfs: boolean;
  /** `lockable`: it is written by whoever has locked it. */
  readonly isLockable: boolean;
}

/** Attribute files of one folder: their content, or undefined where there is none. */
export interface AttributeFiles {
  readonly gitattributes?: Uint8Array | undefined;
  /** Honoured in the root folder only. */
  readonly libraAttributes?: Uint8Array | undefined;
}

/** What applies to the files of one folder: its own attribute files and those of all folders above it. Immutable. */
export interface AttributeRules {
  /** Attributes of a file in the folder, by its name (latin1). Files only: folders have none that matter. */
  of(name: string): FileAttributes;
  /** Whether no rule could give any file of this folder one of these attributes, so that `of` need not be asked. */
  readonly isEmpty: boolean;
  /** The rules of a folder inside this one. Returns the same object for a folder where nothing is added or lost. */
  inside(folder: string, files: AttributeFiles): AttributeRules;
}
