/**
 * Owns playing sources through a device at true rate: each reading is pushed when its time has come, with its own time.
 * Bound: after a pause of the process at most MAX_CATCH_UP_S of readings are pushed at once; what is older was never
 * measured, as with a real sensor that was off.
 */

import type { Clock } from '#base/clock.ts';
import { assert } from '#base/assert.ts';
import type { Device, DeviceStream } from '#sdk/device-runtime.ts';
import { readingsUpTo, readingTimeUs, type ReadingSource } from '#simulator/reading-source.ts';

/** Sensors hand readings over in small lots; the device gathers them into frames. */
const STEP_MS = 20;
const MAX_CATCH_UP_S = 5;

export interface PlayOptions {
  readonly device: Device;
  readonly sources: readonly ReadingSource[];
  readonly clock: Clock;
  /** UUIDv7 of the session that all sources go into. */
  readonly session: string;
  readonly label: string;
  /** Plays this long, or until the shortest source ends. */
  readonly durationS: number;
  readonly signal: AbortSignal;
}

/** Plays until the end or until `signal` aborts; resolves when all streams have been ended on the device. */
export async function play(options: PlayOptions): Promise<void> {
  const { device, sources, clock, session, label, signal } = options;
  assert(sources.length > 0, 'something to play');
  const startUs = clock.nowUs();
  const startMs = clock.monotonicMs();
  const durationS = Math.min(options.durationS, ...sources.map((source) => source.durationS));
  const tracks = sources.map((source) => ({
    source,
    stream: device.stream({ ...source.definition, session, label }),
    pushed: 0,
    rows: new Float32Array(
      Math.ceil(source.definition.rateHz * MAX_CATCH_UP_S) * source.definition.axes.length,
    ),
  }));
  for (;;) {
    const elapsedS = Math.min(durationS, (clock.monotonicMs() - startMs) / 1000);
    for (const track of tracks) pushDue(track, { startUs, elapsedS });
    if (elapsedS >= durationS || signal.aborted) break;
    await pause(clock, signal);
  }
  await Promise.all(tracks.map((track) => track.stream.end()));
}

interface Track {
  readonly source: ReadingSource;
  readonly stream: DeviceStream;
  readonly rows: Float32Array;
  pushed: number;
}

function pushDue(track: Track, at: { startUs: number; elapsedS: number }): void {
  const { source, stream, rows } = track;
  const { axes, rateHz } = source.definition;
  const due = readingsUpTo(source, Math.floor(at.elapsedS * 1e6));
  const most = rows.length / axes.length;
  const first = Math.max(track.pushed, due - most);
  const count = due - first;
  if (first > track.pushed) stream.lose(first - track.pushed, 'sensor-fault');
  track.pushed = due;
  if (count === 0) return;
  source.fill(first, count, rows);
  stream.push(rows.subarray(0, count * axes.length), readingTimeUs(at.startUs, first, rateHz));
}

function pause(clock: Clock, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      cancel();
      signal.removeEventListener('abort', finish);
      resolve();
    };
    const cancel = clock.after(STEP_MS, finish);
    signal.addEventListener('abort', finish, { once: true });
  });
}
