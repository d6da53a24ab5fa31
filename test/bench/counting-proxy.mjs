// An HTTP proxy that counts: GET /.counts answers with requests and bytes of bodies since the last time. Prints its URL.
//   node counting-proxy.mjs PORT
import { once } from 'node:events';
import { Agent, createServer, request } from 'node:http';
import { pipeline } from 'node:stream/promises';

const port = Number(process.argv[2]);
const agent = new Agent({ keepAlive: true });
let counts = { batches: 0, objects: 0, bytes: 0 };

/** Counted where it is about large files: what a mount needs otherwise is not measured here. */
function count(url) {
  if (url.endsWith('/objects/batch')) counts.batches++;
  else if (/\/objects\/[0-9a-f]{64}/.test(url)) counts.objects++;
  else return () => undefined;
  return (bytes) => (counts.bytes += bytes);
}

async function relay(incoming, to) {
  const { method, url, headers } = incoming;
  if (url === '/.counts') {
    to.end(JSON.stringify(counts));
    counts = { batches: 0, objects: 0, bytes: 0 };
    return;
  }
  const counted = count(url);
  const outgoing = request({ host: '127.0.0.1', port, method, path: url, headers, agent });
  const answered = once(outgoing, 'response');
  await Promise.all([
    pipeline(incoming, outgoing),
    answered.then(([answer]) => {
      answer.on('data', (chunk) => counted(chunk.length));
      to.writeHead(answer.statusCode, answer.headers);
      return pipeline(answer, to);
    }),
  ]);
}

const server = createServer((incoming, to) => {
  relay(incoming, to).catch(() => to.destroy());
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
console.log(`http://127.0.0.1:${server.address().port}`);
