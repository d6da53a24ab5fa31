// Keeps web pages away: the API has no password, and a page that the user merely visits can send requests to this
// machine (cross-site requests), or make its own name point here (DNS rebinding).
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import type { FastifyInstance } from 'fastify';

/**
 * Refuses (403) requests that a web page of another origin makes, and requests under a host name that could be
 * somebody else's. Addresses, names without a dot (which are no public names) and the name of this machine are ours.
 */
export function refuseForeignPages(app: FastifyInstance): void {
  const machine = hostname().toLowerCase();
  app.addHook('onRequest', async (request, reply) => {
    const { host, origin } = request.headers;
    const reason = refusal(host, origin, machine);
    if (reason !== undefined) return reply.code(403).send({ error: reason, code: 'FORBIDDEN' });
    return undefined;
  });
}

function refusal(host: string | undefined, origin: string | undefined, machine: string): string | undefined {
  const own = host === undefined ? undefined : URL.parse(`http://${host}`);
  if (host !== undefined && (own === null || own === undefined || !isOwnName(own.hostname, machine))) {
    return `requests for the host name ${JSON.stringify(host)} are refused; use an IP address or localhost`;
  }
  if (origin === undefined) return undefined;
  if (own !== undefined && own !== null && URL.parse(origin)?.host === own.host) return undefined;
  return 'requests of web pages are refused';
}

function isOwnName(name: string, machine: string): boolean {
  const bare = name.replace(/^\[(.*)\]$/, '$1').toLowerCase();
  return isIP(bare) !== 0 || !bare.includes('.') || bare.endsWith('.localhost') || bare === machine;
}
