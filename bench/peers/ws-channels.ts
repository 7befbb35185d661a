/**
 * Owns the comparison with bare ws: a WebSocketServer with bufferutil, rooms in a Map, one JSON text for all subscribers
 * of a message and one `send` for each. What people write when they need no library; nothing is stored or recovered.
 */

import http from 'node:http';

import { createClient } from 'redis';
import { WebSocketServer, type WebSocket } from 'ws';

import { answerCommands, argumentOf } from '#bench/channels/peer-process.ts';
import { say } from '#bench/support/control-channel.ts';

/** The interval of the heartbeat example in the documentation of ws. */
const PING_MS = 30_000;
const REDIS_CHANNEL = 'room';

interface Request {
  readonly type: 'subscribe' | 'publish';
  readonly id?: number;
  readonly channel: string;
  readonly data?: unknown;
}

interface Member extends WebSocket {
  rooms?: Set<WebSocket>[];
  isAlive?: boolean;
}

const rooms = new Map<string, Set<WebSocket>>();
const redisUrl = argumentOf('--redis');

const server = http.createServer();
const sockets = new WebSocketServer({ server, perMessageDeflate: false });

function deliver(channel: string, data: unknown): void {
  const members = rooms.get(channel);
  if (members === undefined) return;
  const text = Buffer.from(JSON.stringify({ type: 'message', channel, data }));
  for (const member of members) member.send(text, { binary: false });
}

async function connectRedis(url: string): Promise<(channel: string, data: unknown) => void> {
  const publisher = createClient({ url });
  const subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);
  await subscriber.subscribe(REDIS_CHANNEL, (text) => {
    const { channel, data } = JSON.parse(text) as Request;
    deliver(channel, data);
  });
  return (channel, data) => void publisher.publish(REDIS_CHANNEL, JSON.stringify({ channel, data }));
}

const publish = redisUrl === undefined ? deliver : await connectRedis(redisUrl);

function markAlive(this: Member): void {
  this.isAlive = true;
}

function leaveRooms(this: Member): void {
  for (const room of this.rooms ?? []) room.delete(this);
}

function ignoreError(): void {
  // `close` follows.
}

function receive(this: Member, bytes: Buffer): void {
  const request = JSON.parse(bytes.toString()) as Request;
  if (request.type === 'publish') {
    publish(request.channel, request.data);
    return;
  }
  let room = rooms.get(request.channel);
  if (room === undefined) rooms.set(request.channel, (room = new Set()));
  room.add(this);
  (this.rooms ??= []).push(room);
  this.send(JSON.stringify({ type: 'subscribed', id: request.id, channel: request.channel }));
}

sockets.on('connection', (socket: Member) => {
  socket.isAlive = true;
  socket.on('message', receive);
  socket.on('pong', markAlive);
  socket.on('close', leaveRooms);
  socket.on('error', ignoreError);
});

setInterval(() => {
  for (const socket of sockets.clients as Set<Member>) {
    if (socket.isAlive === false) {
      socket.terminate();
      continue;
    }
    socket.isAlive = false;
    socket.ping();
  }
}, PING_MS);

answerCommands();
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
  const address = server.address();
  say({ type: 'ready', port: typeof address === 'object' ? address?.port : 0 });
});
