// Keeps other users of this machine away: a loopback port is open to all of them, and the API has no password.
//
// The kernel's table of TCP connections says whose the other end of a loopback connection is.
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import type { FastifyInstance } from 'fastify';

const TABLES = ['/proc/net/tcp', '/proc/net/tcp6'];
const READING = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Refuses (403) requests that change something when they come over loopback from another user than the daemon's or
 * root: they would act with the daemon's rights. From other machines nobody can be told apart; whoever lets the daemon
 * listen to those was warned.
 */
export function refuseOtherUsers(app: FastifyInstance): void {
  app.addHook('onRequest', async (request, reply) => {
    if (READING.has(request.method)) return undefined;
    const { remoteAddress, remotePort, localPort } = request.raw.socket;
    // A request without a connection was made inside this process.
    if (remotePort === undefined || localPort === undefined || !isLoopback(remoteAddress ?? ''))
      return undefined;
    const owners = await connectionOwners(remotePort, localPort);
    const allowed = [0, process.getuid?.() ?? 0];
    if (owners.length > 0 && owners.every((uid) => allowed.includes(uid))) return undefined;
    const error = `this daemon belongs to user ${allowed[1]} and serves no other one; run your own: scorpio serve`;
    return reply.code(403).send({ error, code: 'FORBIDDEN' });
  });
}

function isLoopback(address: string): boolean {
  const plain = address.replace(/^::ffff:/, '');
  return isIP(plain) === 4 ? plain.startsWith('127.') : plain === '::1';
}

/**
 * The users of the sockets with these ports, of the client and of the server. Several loopback addresses may have the
 * same pair of ports at once, and a connection that is closing counts as root's: so all of them are given.
 */
export async function connectionOwners(clientPort: number, serverPort: number): Promise<number[]> {
  const tables = await Promise.all(TABLES.map((path) => readFile(path, 'utf8').catch(() => '')));
  return tables.flatMap((table) => parseOwners(table, clientPort, serverPort));
}

/** As `connectionOwners`, from the text of one table. */
export function parseOwners(table: string, clientPort: number, serverPort: number): number[] {
  const hex = (port: number): string => port.toString(16).toUpperCase().padStart(4, '0');
  const [client, server] = [`:${hex(clientPort)}`, `:${hex(serverPort)}`];
  const owners: number[] = [];
  for (const line of table.split('\n').slice(1)) {
    const fields = line.trim().split(/\s+/);
    const [, local, remote] = fields;
    if (local?.endsWith(client) === true && remote?.endsWith(server) === true) owners.push(Number(fields[7]));
  }
  return owners;
}
