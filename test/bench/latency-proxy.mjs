// A TCP proxy that holds every byte back for half a round trip in each direction. Prints its URL.
//   node latency-proxy.mjs PORT ROUND_TRIP_MS
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

const [port, roundTripMs] = process.argv.slice(2).map(Number);

/** Passes on what comes, later, in order: timers of one duration fire in the order in which they were set. */
function relay(from, to) {
  const later = (act) => setTimeout(() => act(), roundTripMs / 2);
  from.on('data', (chunk) => later(() => to.writable && to.write(chunk)));
  from.on('end', () => later(() => to.end()));
  from.on('error', () => to.destroy());
  from.on('close', () => later(() => to.destroy()));
}

const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
  const upstream = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
  relay(client, upstream);
  relay(upstream, client);
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
console.log(`http://127.0.0.1:${server.address().port}`);
