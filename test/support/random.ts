// A small seeded generator, so that what a test draws at random can be drawn again.

/** Returns numbers in [0, 1); the same seed gives the same sequence (mulberry32's recurrence). */
export function createRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** `length` bytes that look random and are the same for the same seed. */
export function randomBytes(length: number, seed: number): Buffer {
  const random = createRandom(seed);
  const bytes = Buffer.allocUnsafe(length);
  for (let index = 0; index < length; index++) bytes[index] = random() * 256;
  return bytes;
}
