/**
 * Owns the histories that once went wrong, each with a sentence on what it was. They are kept as plain data and not as
 * seeds, so that they stay what they are when the way histories are drawn changes.
 */

import type { EventKind, Scenario, ScenarioEvent } from '#test/simulation/scenario.ts';

export interface Regression {
  /** What went wrong in it, in the past tense: it does not any more. */
  readonly what: string;
  readonly scenario: Scenario;
}

function event(atMs: number, kind: EventKind, rest: Partial<ScenarioEvent> = {}): ScenarioEvent {
  return { atMs, kind, target: 0, stream: 0, forMs: 100, amount: 0.5, ...rest };
}

function scenario(changes: Partial<Scenario>, store: 'memory' | 'file', streams = 1): Scenario {
  return {
    seed: 1,
    profile: 'short',
    durationMs: 3000,
    servers: 1,
    latencyMs: [1, 1],
    devices: [
      {
        name: 'device 0',
        store,
        maxBytes: 1 << 22,
        streams: Array.from({ length: streams }, () => ({ axes: 2, rateHz: 10, readingsPerPush: 1 })),
        org: '00000000-0000-7000-8000-00000000000a',
      },
    ],
    viewers: [],
    gateway: {},
    writer: {},
    timing: {},
    hub: {},
    events: [],
    ...changes,
  };
}

export const regressions: readonly Regression[] = [
  {
    what: 'A device whose store was emptied went on with its stream in a new epoch without a word of the old one, whose missing end was pending for ever.',
    scenario: scenario({ durationMs: 2000, events: [event(1030, 'wipe')] }, 'file'),
  },
  {
    what: 'A copy of a device store was told that numbers were settled under which frames of the original lay, received and not yet stored, when it opened the stream: its own readings were forgotten.',
    scenario: scenario({ seed: 197, durationMs: 2283, events: [event(2200, 'clone')] }, 'file'),
  },
  {
    what: 'After a failover the new epoch of a damaged store was opened before the old one, which was then never marked as one whose end is unknown.',
    scenario: scenario(
      {
        seed: 462,
        durationMs: 1410,
        events: [
          event(1100, 'failover-asynchronous', { amount: 0.4 }),
          event(1400, 'corrupt-tail', { amount: 0.4 }),
        ],
      },
      'file',
    ),
  },
  {
    what: 'Readings that a full disk had refused were declared lost for the reason that the server had been restored, when a connection began before they could be declared for their own.',
    scenario: scenario(
      {
        seed: 794,
        durationMs: 1862,
        events: [event(1000, 'device-disk-full', { forMs: 888, amount: 0.2 }), event(1500, 'cut')],
      },
      'file',
      2,
    ),
  },
  {
    what: 'A standby that had just taken over recorded the end of a stream, and the device was told so, though the standby lacked the last of its readings: the device still had them and never sent them.',
    scenario: scenario(
      {
        seed: 1410,
        durationMs: 5567,
        latencyMs: [5, 40],
        devices: [
          {
            name: 'device 0',
            store: 'memory',
            maxBytes: 1 << 22,
            streams: [
              { axes: 3, rateHz: 50, readingsPerPush: 1 },
              { axes: 3, rateHz: 10, readingsPerPush: 10 },
            ],
            org: '00000000-0000-7000-8000-00000000000b',
          },
        ],
        events: [event(5567, 'failover-asynchronous', { amount: 0.2 })],
      },
      'memory',
    ),
  },
  {
    what: 'A connection that had left nothing behind was still due in the writer, and kept its successor of the same stream waiting for a flush that nobody had asked for: nothing was stored any more.',
    scenario: scenario(
      {
        seed: 184,
        durationMs: 3469,
        devices: [
          {
            name: 'device 0',
            store: 'memory',
            maxBytes: 1 << 22,
            streams: [{ axes: 9, rateHz: 50, readingsPerPush: 5 }],
            org: '00000000-0000-7000-8000-00000000000a',
          },
        ],
        writer: { batchReadings: 14 },
        events: [
          event(400, 'failover-asynchronous', { amount: 0.9 }),
          event(2900, 'failover-asynchronous', { amount: 0 }),
        ],
      },
      'memory',
    ),
  },
  {
    what: 'After a failover that lost the newest commits, a copy of a device store had the generation that the original got anew, and what it had left in the server was stored under the numbers of the original.',
    scenario: scenario(
      {
        seed: 1831,
        durationMs: 4332,
        latencyMs: [1, 10],
        devices: [
          {
            name: 'device 0',
            store: 'file',
            maxBytes: 1 << 22,
            streams: [{ axes: 6, rateHz: 100, readingsPerPush: 2 }],
            org: '00000000-0000-7000-8000-00000000000a',
          },
        ],
        gateway: { heartbeatMs: 1000 },
        timing: { flushMs: 10 },
        events: [
          event(2865, 'half-open-down', { forMs: 1200, amount: 0.4 }),
          event(3881, 'clone', { amount: 0.7 }),
          event(3994, 'failover-asynchronous', { amount: 0.8 }),
        ],
      },
      'file',
    ),
  },
  {
    what: "While a copy of a device store looked for the first number that was another life's, the original stored readings below it: the copy was told that they were settled, and forgot its own under the same numbers.",
    scenario: scenario(
      {
        seed: 164,
        durationMs: 1710,
        servers: 2,
        latencyMs: [20, 120],
        devices: [
          {
            name: 'device 0',
            store: 'file',
            maxBytes: 1 << 22,
            streams: [{ axes: 2, rateHz: 100, readingsPerPush: 2 }],
            org: '00000000-0000-7000-8000-00000000000a',
          },
        ],
        gateway: { windowInitialBytes: 561 },
        writer: { flushIntervalMs: 1000 },
        events: [
          event(454, 'slow-line', { forMs: 20, amount: 0.9 }),
          event(457, 'clone', { amount: 0.2 }),
          event(462, 'cut', { amount: 1 }),
        ],
      },
      'file',
    ),
  },
  {
    what: 'A copy of a device store gave its own readings to numbers that nobody had stored yet, below those that the original had stored: the readings of two lives lay mixed in one epoch, out of order.',
    scenario: scenario(
      {
        seed: 436,
        durationMs: 2565,
        servers: 2,
        latencyMs: [20, 120],
        devices: [
          {
            name: 'device 0',
            store: 'file',
            maxBytes: 1 << 22,
            streams: [{ axes: 6, rateHz: 100, readingsPerPush: 2 }],
            org: '00000000-0000-7000-8000-00000000000b',
          },
        ],
        gateway: { windowInitialBytes: 772 },
        writer: { flushIntervalMs: 50 },
        timing: { flushMs: 200 },
        events: [
          event(252, 'server-pause', { target: 1, forMs: 241, amount: 0 }),
          event(364, 'clone', { amount: 0.1 }),
        ],
      },
      'file',
    ),
  },
];
