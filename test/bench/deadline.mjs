// A deadline for a step: what hangs is ended, and the step fails with a message instead of the whole run.

/** How long a step may still take to end after what hangs in it was ended, in milliseconds. */
const GRACE_MS = 20_000;

const seconds = (ms) => `${Math.round(ms / 1000)} s`;

/**
 * Resolves with what `work` resolves with. After `ms` milliseconds `endHanging` is called; then this rejects as soon as
 * `work` is done, or soon after, whatever it does.
 */
export async function withDeadline(ms, endHanging, work) {
  const timers = [];
  let late = false;
  const expired = new Promise((_resolve, reject) => {
    const expire = () => {
      late = true;
      endHanging();
      timers.push(setTimeout(() => reject(new Error(`gave up after ${seconds(ms)}`)), GRACE_MS));
    };
    timers.push(setTimeout(expire, ms));
  });
  try {
    const result = await Promise.race([work(), expired]);
    if (late) throw new Error(`took longer than ${seconds(ms)}`);
    return result;
  } catch (error) {
    throw late ? new Error(`took longer than ${seconds(ms)}`, { cause: error }) : error;
  } finally {
    timers.forEach(clearTimeout);
  }
}
