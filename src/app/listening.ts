/**
 * Owns how the server comes to its port: the one that was asked for, or for a demo that asked for none the next free
 * one, at most MAX_MOVES further. What stands in the way is named with what to do about it.
 */

import type { AddressInfo } from 'node:net';

import type { Api } from '#api/api-options.ts';
import { AppError } from '#base/errors.ts';
import { isLoopbackHost, type Config } from '#app/config.ts';
import { describePortOwner } from '#app/port-owner.ts';

/** More demos than that side by side nobody starts by accident. */
const MAX_MOVES = 20;

/** Listens and returns the address as a URL. `mayMove`: the next free port does as well. */
export async function listen(api: Api, config: Config, mayMove: boolean): Promise<string> {
  const isMovable = mayMove && !config.given.has('port');
  const last = isMovable ? Math.min(config.port + MAX_MOVES, 65_535) : config.port;
  for (let port = config.port; ; port++) {
    try {
      await api.listen({ host: config.host, port });
      break;
    } catch (cause) {
      if (port >= last || codeOf(cause) !== 'EADDRINUSE') throw listenError(cause, config, isMovable);
    }
  }
  const { port } = api.server.address() as AddressInfo;
  return `${config['tls-cert'] === '' ? 'http' : 'https'}://${namedHost(config.host)}:${port}`;
}

/** The host as it stands in an address. All addresses at once have no name; this machine can say localhost. */
function namedHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return 'localhost';
  return host.includes(':') ? `[${host}]` : host;
}

function listenError(cause: unknown, config: Config, isMovable: boolean): unknown {
  const { host, port } = config;
  const refuse = (text: string): AppError => new AppError('conflict', text, { cause });
  switch (codeOf(cause)) {
    case 'EADDRINUSE':
      return isMovable
        ? refuse(`the ports ${port} to ${port + MAX_MOVES} are all in use: choose one with --port`)
        : refuse(
            `port ${port} is in use by ${describePortOwner(port)}: end that, choose another with --port, or give --port 0 for a free one`,
          );
    case 'EACCES':
      return refuse(
        `port ${port} may not be opened by this user: choose one from 1024 on with --port, and let a proxy forward to it`,
      );
    case 'EADDRNOTAVAIL':
      return refuse(
        `${host} is no address of this machine: give one of its own to --host${isLoopbackHost(host) ? '' : ', or 0.0.0.0 for all'}`,
      );
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return refuse(`the name ${host} has no address here: give --host an address of this machine`);
    default:
      return cause;
  }
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | null)?.code;
}
