/**
 * Owns the one sentence that tells whether what is seen is true: live or not, how old, how far stored, and what is
 * safe. It says of safety only what is known: that devices keep what is not acknowledged, never how much.
 */

import { formatCount, formatMs, formatSeconds } from '#web/format.ts';
import type { LiveReport, StreamReport } from '#web/live/worker-messages.ts';

export type Tone = 'live' | 'waiting' | 'attention' | 'action';

export interface Health {
  readonly tone: Tone;
  readonly sentence: string;
  /** Something else that needs attention while the rest is well. */
  readonly concern?: string;
  /** The same without numbers, so that a screen reader speaks only when the state changes. */
  readonly announcement: string;
}

/** Storing is batched within a second; three seconds behind is a store that does not keep up. */
const STORED_LATE_MS = 3_000;
/** A picture this old does not show the movement that one hears. */
const OLD_MS = 1_000;
/** Short breaks heal unseen: a restart of the server takes about this long. */
const SHORT_BREAK_MS = 1_500;

const SAFE = 'Devices keep every reading until it is stored.';

export interface HealthContext {
  /** A stream's name as words, e.g. `Left foot`. */
  readonly nameOf: (stream: string) => string;
  /** The picture stands still because a person wished it. */
  readonly isFrozen: boolean;
}

export function healthOf(report: LiveReport | null, { nameOf, isFrozen }: HealthContext): Health {
  if (report === null) return quiet('Connecting.');
  const { connection, streams } = report;
  if (connection.name === 'closed')
    return {
      tone: 'action',
      sentence: `The server ended this connection (${connection.code}). ${SAFE} Reload the page to connect again.`,
      announcement: 'The server ended this connection.',
    };
  if (connection.name !== 'open') return notConnected(report);
  if (!connection.isSubscribed)
    return quiet('Connected. The server has not opened this session for viewing yet.');
  const sending = streams.filter((stream) => stream.lastReadingAgeMs !== null);
  if (sending.length === 0) return quiet('Connected. Waiting for the first reading.');
  const silent = sending.filter((stream) => stream.isSilent);
  if (silent.length > 0) return silence(silent, sending.length, nameOf);
  return flowing(report, sending, isFrozen);
}

function quiet(sentence: string): Health {
  return { tone: 'waiting', sentence, announcement: sentence };
}

function notConnected({ connection, streams }: LiveReport): Health {
  const hasShown = streams.some((stream) => stream.lastReadingAgeMs !== null);
  if (!hasShown && connection.sinceMs < SHORT_BREAK_MS) return quiet('Connecting.');
  const retry = connection.retryInMs === null ? 'now' : `in ${formatSeconds(connection.retryInMs / 1000)}`;
  return {
    tone: 'attention',
    sentence: `Reconnecting: this page is not connected; next try ${retry}. ${SAFE}`,
    announcement: `Reconnecting. ${SAFE}`,
  };
}

function silence(
  silent: readonly StreamReport[],
  sending: number,
  nameOf: (stream: string) => string,
): Health {
  const longest = silent.reduce((a, b) => ((b.lastReadingAgeMs ?? 0) > (a.lastReadingAgeMs ?? 0) ? b : a));
  const who = silent.length === sending && sending > 1 ? 'All sensors' : `${nameOf(longest.stream)} sensor`;
  const others =
    silent.length > 1 && silent.length < sending
      ? ` (and ${silent.length - 1} ${silent.length === 2 ? 'other' : 'others'})`
      : '';
  const since = formatSeconds((longest.lastReadingAgeMs ?? 0) / 1000);
  return {
    tone: 'attention',
    sentence: `${who}${others}: no readings for ${since}. What a device took meanwhile comes when it is back.`,
    announcement: `${who}${others}: no readings.`,
  };
}

function flowing(report: LiveReport, sending: readonly StreamReport[], isFrozen: boolean): Health {
  const { storedAgeMs } = report;
  if (storedAgeMs !== null && storedAgeMs > STORED_LATE_MS)
    return {
      tone: 'attention',
      sentence: `Readings arrive, but the newest stored one is ${formatSeconds(storedAgeMs / 1000)} old. Devices keep the rest until it is stored.`,
      announcement: 'Readings arrive, but storing them is behind. Devices keep them until they are stored.',
    };
  const totals = sending.flatMap(({ latency }) => (latency.total === null ? [] : [latency.total.p50]));
  const stored = storedAgeMs === null ? '' : ` Stored up to ${formatSeconds(storedAgeMs / 1000)} ago.`;
  const gaps = sending.reduce((sum, { pending }) => sum + (pending ?? 0), 0);
  if (isFrozen)
    return withGaps(
      {
        tone: 'attention',
        sentence: `Frozen picture; recording goes on. Press space to see what is now.${stored}`,
        announcement: 'Frozen picture; recording goes on.',
      },
      gaps,
    );
  if (totals.length === 0)
    return withGaps({ tone: 'live', sentence: `Live.${stored}`, announcement: 'Connected and live.' }, gaps);
  // To ten milliseconds: the exact figures, which change all the time, are in the table.
  const ageMs = Math.round(Math.max(...totals) / 10) * 10;
  if (ageMs > OLD_MS)
    return {
      tone: 'attention',
      sentence: `What you see happened ${formatMs(ageMs)} ago.${stored}`,
      announcement: 'Live, but with a long delay.',
    };
  const sentence = `Live: what you see happened ${formatMs(ageMs)} ago.${stored}`;
  return withGaps({ tone: 'live', sentence, announcement: 'Connected and live.' }, gaps);
}

function withGaps(health: Health, readings: number): Health {
  if (readings === 0) return health;
  const count = readings === 1 ? '1 reading has' : `${formatCount(readings)} readings have`;
  return {
    ...health,
    tone: 'attention',
    concern: `${count} not arrived yet.`,
    announcement: `${health.announcement} Some readings have not arrived yet.`,
  };
}
