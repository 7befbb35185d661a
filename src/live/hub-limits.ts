/** Owns every limit of the live hub, each with where its number comes from. What overflows is counted (counters.ts). */

import { limits as protocolLimits } from '#protocol/limits.ts';

export interface HubLimits {
  readonly viewers: number;
  readonly subscriptionsPerViewer: number;
  readonly subscribesUnderWay: number;
  readonly tickMs: number;
  readonly tickBytes: number;
  readonly ringTicks: number;
  readonly ringBytes: number;
  readonly payloadBytes: number;
  readonly tailMessages: number;
  readonly tailBytes: number;
  readonly restingMessages: number;
  readonly restingBytes: number;
  readonly recoveryMessages: number;
  readonly recoveryBytes: number;
  readonly lookMs: number;
  readonly waitMs: number;
  readonly retryMs: number;
  readonly longestRetryMs: number;
  readonly presenceMs: number;
  readonly presenceLeft: number;
  readonly progressEntries: number;
  readonly highWaterBytes: number;
  readonly batchBytes: number;
  readonly controlUnsentBytes: number;
  readonly answersUnsentBytes: number;
  readonly historyBytes: number;
  readonly publishesPerSecond: number;
  readonly publishBurst: number;
  readonly subjectPublishesPerSecond: number;
  readonly subjectPublishBurst: number;
  readonly underWayPerViewer: number;
  readonly requestMs: number;
  readonly requestsPerSecond: number;
  readonly requestBurst: number;
  readonly heartbeatMs: number;
  readonly helloMs: number;
  readonly drainSpreadMs: number;
  readonly drainSpacingMs: number;
  readonly drainGraceMs: number;
  readonly closeGraceMs: number;
}

export const defaultHubLimits: HubLimits = {
  /** What the descriptors of a process allow in the end; idle viewers of 6 KB (ws 8, measured) are 600 MB. */
  viewers: 100_000,
  /** Positions in one cursor token (DESIGN section 4). */
  subscriptionsPerViewer: 64,
  /** All of them given up and made anew while their rules are asked. One more is `overloaded`. */
  subscribesUnderWay: 128,
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
  /** Publications kept while a viewer lags: a second of the busiest channel. Further behind, class event is closed. */
  tailMessages: 1_024,
  /** The same in bytes: 64 of the largest publications. */
  tailBytes: 1024 * 1024,
  /** Kept while nobody lags, for those whose connection just broke: a busy chat's last minutes, without asking the broker. */
  restingMessages: 64,
  restingBytes: 32 * 1024,
  /** Publications in a page that those who catch up share: 1 MiB at worst. */
  recoveryMessages: 64,
  /** Pages of one channel that are kept while they are asked for; one is always. */
  recoveryBytes: 1024 * 1024,
  /** Silence after which a channel looks whether the last message was lost on the way (DESIGN section 4). */
  lookMs: 10_000,
  /** What a broker may take to answer, as long as the rule of a channel may. */
  waitMs: 5_000,
  /** Before a history that could not be read is read again; doubled each time up to the longest. */
  retryMs: 100,
  longestRetryMs: 5_000,
  /** Comings and goings of this long are told together: a page that is loaded anew is one change. */
  presenceMs: 250,
  /** Members that left, remembered for viewers that have not been told; one that is further behind is closed as slow. */
  presenceLeft: 1_024,
  /** (stream, epoch) pairs whose progress a channel remembers: what one `committed` message may carry. */
  progressEntries: 256,
  /** Unsent bytes at which a viewer is skipped: a quarter of a second on a 2 Mbit/s mobile link. */
  highWaterBytes: 64 * 1024,
  /** The most that one write adds: 64 subscriptions of a full suit in a tick are about 80 KB. */
  batchBytes: 256 * 1024,
  /** Unsent replies of a viewer that asks but does not read: about 300 of them. Then it is closed as slow. */
  controlUnsentBytes: 32 * 1024,
  /** The same of answers that are pages (history, members): two of the longest. */
  answersUnsentBytes: 1024 * 1024 + 64 * 1024,
  /** An answer to `history`; what is beyond is asked for again. */
  historyBytes: 512 * 1024,
  /** What one connection may publish, ask and state: a pointer shared at 60 Hz, and as much again. */
  publishesPerSecond: 100,
  publishBurst: 200,
  /** All connections of one subject on this instance; a back end's server key has ten times as much. */
  subjectPublishesPerSecond: 500,
  subjectPublishBurst: 1_000,
  /** Asked by one connection and not answered yet, beside subscriptions. One more is `overloaded`. */
  underWayPerViewer: 16,
  /** What a request may take before it is answered with `timed-out`. */
  requestMs: 10_000,
  /** Steady rate of messages: twice what may be published, so that who is told `rate-limited` has time to hear it. */
  requestsPerSecond: 200,
  /** Messages at once: 64 subscriptions given up and made anew, four times. Then it is closed for breaking the protocol. */
  requestBurst: 512,
  heartbeatMs: protocolLimits.heartbeatMs,
  helloMs: protocolLimits.helloMs,
  /** Over how long the viewers of a draining instance are sent away, at most. */
  drainSpreadMs: 5_000,
  /** With few viewers it takes no longer than 50 a second would. */
  drainSpacingMs: 20,
  /** How long a viewer that is sent away waits for the answers to what it asked. */
  drainGraceMs: 2_000,
  /** How long a closing handshake may take before the socket is destroyed. */
  closeGraceMs: 2_000,
};
