/** Owns every limit of the live hub, each with where its number comes from. What overflows is counted (counters.ts). */

import { limits as protocolLimits } from '#protocol/limits.ts';

export interface HubLimits {
  readonly viewers: number;
  readonly subscriptionsPerViewer: number;
  readonly tickMs: number;
  readonly tickBytes: number;
  readonly ringTicks: number;
  readonly ringBytes: number;
  readonly payloadBytes: number;
  readonly progressEntries: number;
  readonly highWaterBytes: number;
  readonly batchBytes: number;
  readonly controlUnsentBytes: number;
  readonly requestsPerSecond: number;
  readonly requestBurst: number;
  readonly heartbeatMs: number;
  readonly byeSpreadMs: number;
  readonly closeGraceMs: number;
}

export const defaultHubLimits: HubLimits = {
  /** An idle viewer costs about 6 KB (ws 8, measured): 60 MB at most. One more is closed as overloaded. */
  viewers: 10_000,
  /** Positions in one cursor token (DESIGN section 4). */
  subscriptionsPerViewer: 64,
  /** The longest wait for more data under load (DESIGN section 4): half a frame of a 60 Hz display. */
  tickMs: 8,
  /** A tick is sealed early beyond this; a 17-sensor suit at 200 Hz sends about 1.3 KB in 8 ms. */
  tickBytes: 64 * 1024,
  /** Half a second of 8 ms ticks: a viewer further behind is better served with the newest. */
  ringTicks: 64,
  /** A second and a half of a 17-sensor suit. Kept only while a viewer lags; the oldest tick goes first. */
  ringBytes: 256 * 1024,
  /** One publish on the bus: two full device messages. A larger one is dropped and counted. */
  payloadBytes: 2 * protocolLimits.messageBytes,
  /** (stream, epoch) pairs whose progress a channel remembers: what one `committed` message may carry. */
  progressEntries: 256,
  /** Unsent bytes at which a viewer is skipped: a quarter of a second on a 2 Mbit/s mobile link. */
  highWaterBytes: 64 * 1024,
  /** The most that one write adds: 64 subscriptions of a full suit in a tick are about 80 KB. */
  batchBytes: 256 * 1024,
  /** Unsent replies of a viewer that asks but does not read: about 300 of them. Then it is closed as slow. */
  controlUnsentBytes: 32 * 1024,
  /** Steady rate of messages: twice what may be published, so that who is told `rate-limited` has time to hear it. */
  requestsPerSecond: 200,
  /** Messages at once: 64 subscriptions given up and made anew, four times. Then it is closed for breaking the protocol. */
  requestBurst: 512,
  heartbeatMs: protocolLimits.heartbeatMs,
  /** Over how long the viewers of a draining instance spread their return. */
  byeSpreadMs: 5_000,
  /** How long a closing handshake may take before the socket is destroyed. */
  closeGraceMs: 2_000,
};
