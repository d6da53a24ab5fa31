// Binding the HTTP address.
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { parseAddress } from '../config/check-value.ts';
import { BindError } from './bind-error.ts';

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program listens there; stop it, or choose another address with --http-addr',
  EACCES: 'this user may not; choose a port above 1023 with --http-addr',
  EADDRNOTAVAIL: 'this machine has no such address; choose another one with --http-addr',
};

/** Listens on `IP:PORT`; resolves with the real address (port 0 takes a free one). Rejects with BindError. */
export async function listen(app: FastifyInstance, httpAddr: string): Promise<string> {
  const wanted = parseAddress(httpAddr);
  if (wanted === undefined) throw new BindError(`cannot listen on ${httpAddr}: it is not IP:PORT`);
  try {
    await app.listen(wanted);
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    throw new BindError(`cannot listen on ${httpAddr}: ${reasons[code] ?? message}`, { cause: error });
  }
  const { address, family, port } = app.server.address() as AddressInfo;
  return family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`;
}
