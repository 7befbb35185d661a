/**
 * Owns the comparison with Socket.IO 4: WebSocket only, bufferutil in place through ws, rooms, acknowledged joins. With
 * `--redis` the official adapter stands between instances; with `--recovery` its own connection state recovery is on,
 * which works in one process and costs memory, so that only the reconnect storm uses it.
 */

import http from 'node:http';

import { createAdapter } from '@socket.io/redis-adapter';
import { createClient } from 'redis';
import { Server } from 'socket.io';

import { answerCommands, argumentOf } from '#bench/channels/peer-process.ts';
import { say } from '#bench/support/control-channel.ts';

const RECOVERY_MS = 120_000;

const redisUrl = argumentOf('--redis');
const server = http.createServer();
const io = new Server(server, {
  transports: ['websocket'],
  perMessageDeflate: false,
  serveClient: false,
  ...(process.argv.includes('--recovery')
    ? { connectionStateRecovery: { maxDisconnectionDuration: RECOVERY_MS } }
    : {}),
});

if (redisUrl !== undefined) {
  const publisher = createClient({ url: redisUrl });
  const subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);
  io.adapter(createAdapter(publisher, subscriber));
}

// From the documentation on memory usage: the first request is not needed any more.
io.engine.on('connection', (raw: { request: unknown }) => {
  raw.request = null;
});

io.on('connection', (socket) => {
  socket.on('subscribe', async (channel: string, done: () => void) => {
    await socket.join(channel);
    done();
  });
  socket.on('publish', (channel: string, data: unknown) => {
    io.to(channel).emit('message', channel, data);
  });
});

answerCommands();
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
  const address = server.address();
  say({ type: 'ready', port: typeof address === 'object' ? address?.port : 0 });
});
