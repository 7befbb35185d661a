/**
 * Owns the yardstick for receiving: ws with bufferutil, set up as the product sets it up, that answers the handshake of
 * the protocol, grants endless credit, reads every data message and drops it. Nothing is acknowledged.
 */

import http from 'node:http';

import { WebSocketServer } from 'ws';

import { onCommand, say } from '#bench/support/control-channel.ts';
import { limits } from '#protocol/limits.ts';
import type { DeviceMessage, ServerMessage } from '#protocol/messages.ts';
import { DEVICE_SUBPROTOCOL, PROTOCOL_VERSION } from '#protocol/version.ts';

const ENDLESS = 2 ** 52;

let messages = 0;
const server = http.createServer();
const sockets = new WebSocketServer({
  server,
  perMessageDeflate: false,
  maxPayload: limits.messageBytes,
  handleProtocols: () => DEVICE_SUBPROTOCOL,
});

sockets.on('connection', (socket) => {
  const send = (message: ServerMessage): void => socket.send(JSON.stringify(message));
  socket.on('message', (data: Buffer, isBinary: boolean) => {
    if (isBinary) {
      messages++;
      return;
    }
    const message = JSON.parse(data.toString()) as DeviceMessage;
    if (message.type === 'open') send({ type: 'opened', ref: message.ref, settled: { next: 0, ranges: [] } });
    else if (message.type === 'hello')
      send({
        type: 'welcome',
        version: PROTOCOL_VERSION,
        incarnation: '00000000-0000-7000-8000-000000000000',
        generation: 1,
        serverUs: Date.now() * 1000,
        heartbeatMs: limits.heartbeatMs,
        credit: { durable: ENDLESS, live: ENDLESS },
      });
  });
  socket.on('error', () => socket.terminate());
});

setInterval(() => {
  for (const socket of sockets.clients)
    socket.send(JSON.stringify({ type: 'heartbeat' } satisfies ServerMessage));
}, limits.heartbeatMs);

onCommand((command) => {
  if (command.type === 'count') say({ type: 'counted', messages });
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  say({ type: 'ready', port: typeof address === 'object' ? address?.port : 0 });
});
