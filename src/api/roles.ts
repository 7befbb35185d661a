/**
 * Owns which part of the server answers which address: four domains (identity, clinic, jobs, streams), all in one process
 * unless roles are given. What this process has no role for is passed on to one that has, once: a request that was passed
 * on already is refused, so no two processes can send one in circles. The process that answers runs the whole chain
 * (authentication, limits, validation, audit); this one only carries bytes. Bound: `hopLimits`.
 */

import { Agent as HttpAgent, request as httpRequest, STATUS_CODES, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { connect as connectPlain } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';

import type { FastifyReply, FastifyRequest } from 'fastify';

import { AppError, messageOf } from '#base/errors.ts';
import type { Api } from '#api/api-options.ts';

export const domains = ['identity', 'clinic', 'jobs', 'streams'] as const;
export type Domain = (typeof domains)[number];

export const hopLimits = {
  /** To each process: a quarter of what Node's pool to a peer holds well; more wait for a free one. */
  connections: 256,
  /** As long as a request may take to arrive (api-options.ts), and its answer to begin. */
  answerMs: 30_000,
} as const;

/** Says that a request was passed on, and for which domain. */
export const HOP_HEADER = 'kymo-hop';

export interface Roles {
  /** What this process answers itself. */
  readonly own: ReadonlySet<Domain>;
  /** Where the others are answered; a domain may be missing. */
  readonly urls: ReadonlyMap<Domain, URL>;
}

/** First parts of addresses; everything else below /v1 is of the domain streams. */
const prefixes: readonly (readonly [Domain, RegExp])[] = [
  ['identity', /^\/v1\/(?:account|members|invitations|access-keys|revocations|devices|tickets|demo)(?:\/|$)/],
  ['jobs', /^\/v1\/(?:jobs|webhooks)(?:\/|$)/],
  [
    'clinic',
    /^\/v1\/(?:patients|protocols|search|visits|notes|goals|programmes|annotations|placements|audit)(?:\/|$)/,
  ],
];

/** The domain of a path without its query; null for what every process answers: its page, its health, its documents. */
export function domainOf(path: string): Domain | null {
  if (!path.startsWith('/v1/') || path === '/v1/about') return null;
  return prefixes.find(([, pattern]) => pattern.test(path))?.[0] ?? 'streams';
}

/** Throws AppError `invalid-field` naming the setting that is wrong. */
export function parseRoles(settings: { readonly roles: string; readonly urls: string }): Roles {
  const own = new Set<Domain>();
  for (const name of listOf(settings.roles)) own.add(domainNamed(name, 'roles'));
  if (own.size === 0)
    throw new AppError('invalid-field', `give at least one of ${domains.join(', ')}`, { field: 'roles' });
  const urls = new Map<Domain, URL>();
  for (const entry of listOf(settings.urls)) {
    const [name = '', ...rest] = entry.split('=');
    const url = URL.parse(rest.join('='));
    if (url === null || !/^https?:$/.test(url.protocol))
      throw new AppError('invalid-field', `${entry}: write ROLE=http://HOST:PORT`, { field: 'role-urls' });
    urls.set(domainNamed(name, 'role-urls'), url);
  }
  return { own, urls };
}

function listOf(text: string): string[] {
  return text.split(',').flatMap((part) => (part.trim() === '' ? [] : [part.trim()]));
}

function domainNamed(name: string, field: string): Domain {
  const found = domains.find((domain) => domain === name);
  if (found === undefined)
    throw new AppError('invalid-field', `${name} is no role: take of ${domains.join(', ')}`, { field });
  return found;
}

/** Passes on what other processes answer. Comes before everything that looks at who asks. */
export function passOnRequests(api: Api, roles: Roles): void {
  if (domains.every((domain) => roles.own.has(domain))) return;
  const agents = { 'http:': newAgent(HttpAgent), 'https:': newAgent(HttpsAgent) };
  api.addHook('onClose', async () => Object.values(agents).forEach((agent) => agent.destroy()));
  api.addHook('onRequest', async (request, reply) => {
    const url = targetOf(roles, request.raw);
    if (url === null) return;
    await passOn(request, reply, { url, agents });
    return reply;
  });
}

function newAgent<A>(kind: new (options: object) => A): A {
  return new kind({
    keepAlive: true,
    maxSockets: hopLimits.connections,
    maxTotalSockets: hopLimits.connections,
  });
}

/** Where a request is answered; null: here. Throws AppError when nowhere. */
function targetOf(roles: Roles, request: IncomingMessage): URL | null {
  const domain = domainOf((request.url ?? '/').split('?', 1)[0]!);
  if (domain === null || roles.own.has(domain)) return null;
  if (request.headers[HOP_HEADER] !== undefined)
    throw new AppError(
      'misdirected',
      `this process was sent what is for the role ${domain}, which it has not`,
    );
  const url = roles.urls.get(domain);
  if (url === undefined)
    throw new AppError(
      'misdirected',
      `this process does not have the role ${domain}, and --role-urls names none`,
    );
  return url;
}

/** Headers of one connection, which are not the message's (RFC 9110 section 7.6.1). */
const CONNECTION_HEADERS = new Set([
  'connection',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

function headersFor(request: IncomingMessage): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(request.headers))
    if (value !== undefined && !CONNECTION_HEADERS.has(name)) headers[name] = value;
  headers[HOP_HEADER] = '1';
  const before = request.headers['x-forwarded-for'];
  const address = request.socket.remoteAddress ?? '';
  headers['x-forwarded-for'] = before === undefined ? address : `${String(before)}, ${address}`;
  headers['x-forwarded-proto'] ??= 'encrypted' in request.socket ? 'https' : 'http';
  return headers;
}

async function passOn(
  request: FastifyRequest,
  reply: FastifyReply,
  { url, agents }: { url: URL; agents: { 'http:': HttpAgent; 'https:': HttpsAgent } },
): Promise<void> {
  const isTls = url.protocol === 'https:';
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const outgoing = (isTls ? httpsRequest : httpRequest)(
      new URL(request.raw.url ?? '/', url),
      {
        method: request.method,
        headers: {
          ...headersFor(request.raw),
          ...(request.headers['transfer-encoding'] === undefined ? {} : { 'transfer-encoding': 'chunked' }),
        },
        agent: isTls ? agents['https:'] : agents['http:'],
        timeout: hopLimits.answerMs,
      },
      resolve,
    );
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer in time')));
    outgoing.on('error', reject);
    // Who goes away before the answer is waited for by nobody.
    reply.raw.on('close', () => outgoing.destroy());
    request.raw.pipe(outgoing);
  }).catch((cause: unknown) => {
    throw new AppError('store-unavailable', 'the process that answers this cannot be reached', {
      temporary: true,
      cause: messageOf(cause),
    });
  });
  reply.code(answer.statusCode ?? 502);
  for (const [name, value] of Object.entries(answer.headers))
    if (value !== undefined && !CONNECTION_HEADERS.has(name)) reply.header(name, value);
  await reply.send(answer);
}

/** Passes a WebSocket's handshake on, with everything after it. False when it is answered here. */
export function passOnUpgrade(
  roles: Roles,
  request: IncomingMessage,
  { socket, head }: { readonly socket: Duplex; readonly head: Buffer },
): boolean {
  let url: URL | null;
  try {
    url = targetOf(roles, request);
  } catch {
    refuse(socket, 421);
    return true;
  }
  if (url === null) return false;
  const port = Number(url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : url.port);
  const upstream =
    url.protocol === 'https:'
      ? connectTls({ host: url.hostname, port, servername: url.hostname, timeout: hopLimits.answerMs })
      : connectPlain({ host: url.hostname, port, timeout: hopLimits.answerMs });
  // Open sockets have heartbeats of their own; only the handshake must not hang.
  const giveUp = (): void => void upstream.destroy();
  upstream.once('timeout', giveUp);
  upstream.once('data', () => upstream.off('timeout', giveUp));
  upstream.on('error', () => refuse(socket, 503));
  socket.on('error', () => upstream.destroy());
  upstream.on('close', () => socket.destroy());
  socket.on('close', () => upstream.destroy());
  const lines = Object.entries({ ...headersFor(request), connection: 'Upgrade', upgrade: 'websocket' });
  upstream.write(
    `GET ${request.url ?? '/'} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}`).join('\r\n')}\r\n\r\n`,
  );
  upstream.write(head);
  socket.pipe(upstream).pipe(socket);
  return true;
}

function refuse(socket: Duplex, status: number): void {
  if (socket.writable)
    socket.end(
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`,
    );
}
