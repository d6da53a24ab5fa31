// Types without behaviour that every part shares.

/** A value that is known now, or comes later. */
export type Awaitable<T> = T | Promise<T>;

/** A Git object id: 40 lower-case hexadecimal digits (SHA-1). */
export type ObjectId = string;
