// Small files that nobody fetched yet, from a server that is 20 ms away.
import { row } from '../rows.mjs';

const ROUND_TRIP_MS = 20;

/** What one HTTP request at a time takes over the same connection is the baseline. */
export async function latency(stage) {
  const count = stage.quick ? 200 : 1000;
  const repository = await stage.smallFiles(1000);
  const url = await stage.slowly(repository.url, ROUND_TRIP_MS);
  const list = stage.list(repository.paths.slice(0, count));
  const each = [await stage.client('fetchEach', { url, list: stage.list(repository.blobs.slice(0, count)) })];
  const readAll = (readers) =>
    stage.withMount({ url }, async (root) => [
      await stage.client('readFilesTogether', { root, list, readers }),
    ]);
  const against = 'one request at a time';
  return [
    row(`${count} cold files at ${ROUND_TRIP_MS} ms, one reader`, await readAll(1), against, each),
    row(`${count} cold files at ${ROUND_TRIP_MS} ms, eight readers`, await readAll(8), against, each),
  ];
}
