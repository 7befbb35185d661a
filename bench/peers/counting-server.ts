/**
 * Owns the product's receive path alone: its gateway and WebSocket adapter with a consumer that counts what comes out
 * of the streams' rings and keeps nothing. Credit is endless and nothing is acknowledged, as with the drop server beside
 * it, so that the difference of the two is what receiving costs: decoding, checking, stamping and the ring.
 */

import http from 'node:http';

import { WebSocketServer } from 'ws';

import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { emptyRanges } from '#base/ranges.ts';
import { ok } from '#base/result.ts';
import { onCommand, say } from '#bench/support/control-channel.ts';
import { READING_BYTES } from '#bench/support/synthetic-reading.ts';
import { createMemoryBus } from '#bus/memory-bus.ts';
import type { FrameSource } from '#contract/readings.ts';
import type { IngestBackend } from '#ingest/ingest-backend.ts';
import { attachDevice } from '#ingest/device-socket.ts';
import { createGateway, defaultGatewayConfig } from '#ingest/gateway.ts';
import { limits } from '#protocol/limits.ts';
import { DEVICE_SUBPROTOCOL } from '#protocol/version.ts';

const ENDLESS = 2 ** 52;
/** The default flush interval of the product. */
const TAKE_MS = 250;
/** ... and the size at which a stream is flushed early. */
const TAKE_READINGS = 500;

let readings = 0;
const due = new Set<FrameSource>();

function takeAll(): void {
  for (const source of due)
    while (source.pendingReadings() > 0)
      for (const frame of source.take(TAKE_READINGS)) readings += frame.count;
  due.clear();
}

const identity = { deviceId: 'bench', orgId: 'bench' };
const backend: IngestBackend = {
  authenticate: async () => identity,
  // Every connection is a device of its own: a second one of the same device would end the first.
  greet: async (device) => ({
    identity: device,
    generation: 1,
    incarnation: '00000000-0000-7000-8000-000000000000',
  }),
  openStream: async (device, { definition, epoch }) =>
    ok({
      handle: {
        ...device,
        key: `${definition.stream}/${epoch}`,
        epoch,
        definition,
        readingBytes: READING_BYTES,
        retentionClass: 0,
      },
      progress: { committed: emptyRanges, lost: emptyRanges },
    }),
  incarnation: async () => '00000000-0000-7000-8000-000000000000',
  checksumOf: async () => null,
  isErased: async () => false,
  endStream: async () => undefined,
  recordClock: () => undefined,
};

const gateway = createGateway({
  backend,
  store: {
    due(source) {
      due.add(source);
      if (source.pendingReadings() >= TAKE_READINGS) takeAll();
    },
    renew: () => undefined,
  },
  bus: createMemoryBus(),
  clock: systemClock,
  log: silentLog,
  random: Math.random,
  config: {
    ...defaultGatewayConfig,
    creditPoolBytes: ENDLESS,
    windowInitialBytes: ENDLESS / 65_536,
    windowMaxBytes: ENDLESS / 65_536,
  },
});
setInterval(takeAll, TAKE_MS);

const server = http.createServer();
const sockets = new WebSocketServer({
  server,
  clientTracking: false,
  perMessageDeflate: false,
  maxPayload: limits.messageBytes,
  handleProtocols: () => DEVICE_SUBPROTOCOL,
});
let devices = 0;
sockets.on('connection', (socket) =>
  attachDevice(gateway, socket, {
    address: '127.0.0.1',
    known: { ...identity, deviceId: `bench-${devices++}` },
    greeted: () => undefined,
  }),
);

onCommand((command) => {
  if (command.type !== 'count') return;
  const { messages, frames } = gateway.statistics.session;
  say({ type: 'counted', messages, frames, readings });
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  say({ type: 'ready', port: typeof address === 'object' ? address?.port : 0 });
});
