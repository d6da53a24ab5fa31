// What one key of the configuration is.

/** What a value may be. `usize`, `u64` and `u32` are whole numbers from 0; `address` is `IP:PORT`; `disk-amount` is a `byte-size` or a share of the disk; `choice` is one of `choices`; `auto-url` is a `url` or `auto`; `secret` is text that is never shown. */
export type ValueType =
  | 'url'
  | 'path'
  | 'string'
  | 'bool'
  | 'usize'
  | 'u64'
  | 'u32'
  | 'stat-mode'
  | 'fuse-binding'
  | 'address'
  | 'auto-bool'
  | 'byte-size'
  | 'disk-amount'
  | 'open-requests'
  | 'choice'
  | 'auto-url'
  | 'secret';

/** One key. */
export interface ConfigKey {
  /** Name at the top level of the file; upper-cased after `SCORPIO_` in the environment. */
  readonly flat: string;
  readonly section: string;
  /** Name inside its section. */
  readonly short: string;
  readonly type: ValueType;
  /** As text. In paths `{data}` is the data folder of the user, `{store_path}` the value of that key. */
  readonly default: string;
  /** Values of a `choice`. */
  readonly choices?: readonly string[];
  /** Least value of a number. */
  readonly min?: number;
  /** One line for the docs. */
  readonly description: string;
  /** Accepted for compatibility; nothing reads it. */
  readonly unused?: true;
  /** Whether `config init` writes it. */
  readonly template?: true;
}
