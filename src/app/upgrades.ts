/**
 * Owns the WebSocket handshakes: /v1/device for devices, /v1/live for viewers. It decides who is asking before the
 * socket opens, where the request says so (Authorization header or single-use ticket); a device may also say it in its
 * hello. Bounds: handshakes under way, and sockets per address that have not said who they are.
 */

import { STATUS_CODES, type IncomingMessage, type Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import { WebSocketServer } from 'ws';

import { judgeOrigin, type OriginRule } from '#api/origin.ts';
import type { Overload } from '#api/overload.ts';
import { passOnUpgrade, type Roles } from '#api/roles.ts';
import type { RefusalOf } from '#app/clear-text.ts';
import type { AddressOf } from '#app/client-address.ts';
import { AppError } from '#base/errors.ts';
import type { DeviceIdentity } from '#contract/readings.ts';
import { networkOf } from '#identity/failed-attempts.ts';
import type { Identity } from '#identity/identity.ts';
import type { Principals } from '#identity/principals.ts';
import { attachDevice, deviceServerOptions } from '#ingest/device-socket.ts';
import type { Gateway } from '#ingest/gateway.ts';
import type { Hub } from '#live/hub.ts';
import type { UpgradedSocket } from '#live/live-socket.ts';
import { answerHandshake } from '#live/websocket-handshake.ts';
import { LIVE_SUBPROTOCOL } from '#protocol/version.ts';

/** Looking up a key takes about a millisecond; beyond this many at once a client does better to come back. */
const HANDSHAKES_UNDER_WAY = 4_096;
/** Sockets of one address that have neither header nor ticket: a clinic's devices behind one address say hello in 5 s. */
const UNKNOWN_PER_ADDRESS = 256;

export interface UpgradeOptions {
  readonly identity: Identity;
  readonly principals: Principals;
  readonly gateway: Gateway;
  readonly hub: Pick<Hub, 'attach'>;
  /** Whose address a request counts for. */
  readonly addressOf: AddressOf;
  /** Which web pages may connect. */
  readonly origins: OriginRule;
  /** Requests that are refused whoever asks. */
  readonly refusalOf: RefusalOf;
  readonly overload: Overload;
  /** Where sockets are answered when not here. */
  readonly roles: Roles;
}

/** Starts answering upgrades of `server`. The returned function refuses them from then on. */
export function answerUpgrades(server: Server, options: UpgradeOptions): () => void {
  const { identity, principals, gateway, hub, addressOf } = options;
  const devices = new WebSocketServer(deviceServerOptions);
  const unknown = new Map<string, number>();
  let underWay = 0;
  let isRefusing = false;

  async function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    // Anything may stand there: `//` alone is no address.
    const url = URL.parse(request.url ?? '/', 'http://localhost');
    if (url === null) return refuse(socket, 404);
    if (options.refusalOf(request) !== null) return refuse(socket, 403);
    if (passOnUpgrade(options.roles, request, { socket, head })) return;
    // RFC 6455 section 4.4; ws would answer 400, and take the draft's version 8. Before a ticket is used up.
    if (request.headers['sec-websocket-version'] !== '13') return refuse(socket, 426);
    // A browser lets any page open a WebSocket to anywhere; only the server can tell a foreign one (RFC 6455 section 10.2).
    if (judgeOrigin(options.origins, request.headers) === 'foreign') return refuse(socket, 403);
    const address = addressOf(request);
    if (isShed(options.overload, url.pathname)) return refuse(socket, 503);
    const key = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? null;
    const ticket = url.searchParams.get('ticket');
    if (url.pathname === '/v1/device') {
      const known = await deviceOf({ key, ticket, address });
      if (known === 'refused') return refuse(socket, 401);
      const greeted = known === null ? countUnknown(address, socket) : () => undefined;
      if (greeted === null) return refuse(socket, 429);
      devices.handleUpgrade(request, socket, head, (ws) =>
        attachDevice(gateway, ws, { address, known, greeted }),
      );
    } else if (url.pathname === '/v1/live') {
      const viewer =
        key !== null
          ? await principals.authenticate(key, address)
          : ticket !== null
            ? await identity.redeemLiveTicket(ticket)
            : null;
      const isUnsaid = key === null && ticket === null;
      if (viewer === null && !isUnsaid) return refuse(socket, 401);
      const greeted = isUnsaid ? countUnknown(address, socket) : () => undefined;
      if (greeted === null) return refuse(socket, 429);
      admit(request, { socket: socket as Socket, head }, (upgraded) =>
        hub.attach(upgraded, viewer, { address, greeted }),
      );
    } else refuse(socket, 404);
  }

  /** Null: nothing was said, hello must say it. */
  async function deviceOf(said: {
    key: string | null;
    ticket: string | null;
    address: string;
  }): Promise<DeviceIdentity | null | 'refused'> {
    if (said.key !== null) return (await identity.authenticateDevice(said.key, said.address)) ?? 'refused';
    if (said.ticket !== null) return (await identity.redeemDeviceTicket(said.ticket)) ?? 'refused';
    return null;
  }

  /** Counts a socket until it is known or closed; null when its address has too many. */
  function countUnknown(address: string, socket: Duplex): (() => void) | null {
    const network = networkOf(address);
    const count = unknown.get(network) ?? 0;
    if (count >= UNKNOWN_PER_ADDRESS) return null;
    unknown.set(network, count + 1);
    let isCounted = true;
    const release = (): void => {
      if (!isCounted) return;
      isCounted = false;
      const left = (unknown.get(network) ?? 1) - 1;
      if (left === 0) unknown.delete(network);
      else unknown.set(network, left);
    };
    socket.once('close', release);
    return release;
  }

  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    socket.on('error', destroySelf);
    if (isRefusing || underWay >= HANDSHAKES_UNDER_WAY) {
      refuse(socket, 503);
      return;
    }
    underWay++;
    upgrade(request, socket, head)
      .catch((error: unknown) => refuse(socket, error instanceof AppError && error.temporary ? 503 : 500))
      .finally(() => underWay--);
  };
  server.on('upgrade', onUpgrade);
  return () => {
    isRefusing = true;
  };
}

/** Devices are the last to be sent away. */
function isShed(overload: Overload, path: string): boolean {
  const { served } = overload;
  const who = path === '/v1/device' ? 'devices' : 'people';
  if (served === 'all' || (served === 'devices' && who === 'devices')) return false;
  overload.shed(who);
  return true;
}

function destroySelf(this: Duplex): void {
  this.destroy();
}

/** Answers the handshake of a viewer; what the hub says first leaves in the same write. */
function admit(
  request: IncomingMessage,
  upgraded: UpgradedSocket,
  attach: (upgraded: UpgradedSocket) => void,
): void {
  const { socket } = upgraded;
  const handshake = answerHandshake(request, LIVE_SUBPROTOCOL);
  if (!handshake.isAccepted) return refuse(socket, handshake.status);
  // It left while it was looked up.
  if (!socket.readable || !socket.writable) return void socket.destroy();
  // From here on the hub hears of errors.
  socket.removeListener('error', destroySelf);
  socket.cork();
  socket.write(handshake.answer, 'latin1');
  attach(upgraded);
  socket.uncork();
}

function refuse(socket: Duplex, status: 400 | 401 | 403 | 404 | 405 | 426 | 429 | 500 | 503): void {
  const extra =
    status === 401
      ? 'WWW-Authenticate: Bearer\r\n'
      : status === 429 || status === 503
        ? 'Retry-After: 1\r\n'
        : status === 426
          ? 'Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n'
          : '';
  // Nobody reads this socket any more, so it would not hear that its peer closes, and stay for ever.
  socket.once('finish', () => socket.destroy());
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${extra}Connection: close\r\nContent-Length: 0\r\n\r\n`,
  );
}
