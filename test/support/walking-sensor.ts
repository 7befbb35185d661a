/**
 * Owns a sensor of tests that does as it is told: asked to start, it sends one foot of a recorded walk (data/gaitmap) into
 * the session and under the segment that the command names, at true rate, until it is asked to stop or the walk is over.
 */

import { fileURLToPath } from 'node:url';

import { systemClock } from '#base/clock.ts';
import { openDevice } from '#sdk/device-client.ts';
import { memoryStore } from '#sdk/memory-store.ts';
import { play } from '#simulator/player.ts';
import { loadRecording, recordingSource } from '#simulator/recording.ts';

const folder = fileURLToPath(new URL('../../data/gaitmap/', import.meta.url));

export interface WalkingSensor {
  /** Sends into a session of its own, as a sensor that nobody planned anything with. Returns the session's id. */
  walk(): string;
  close(): Promise<void>;
}

export interface WalkingSensorOptions {
  readonly url: string;
  readonly key: string;
  /** Whose steps it has. */
  readonly foot: 'left-foot' | 'right-foot';
}

interface StartParams {
  readonly session: string;
  readonly segment: string;
}

export async function connectWalkingSensor({ url, key, foot }: WalkingSensorOptions): Promise<WalkingSensor> {
  const recording = await loadRecording(folder, 'healthy_2x20m');
  const recorded = recording.streams.find(({ definition }) => definition.segment === foot)!;
  const source = recordingSource(recorded);
  let ending = new AbortController();
  let playing = Promise.resolve();
  const start = ({ session, segment }: StartParams): void => {
    ending = new AbortController();
    playing = play({
      device,
      sources: [{ ...source, definition: { ...source.definition, segment } }],
      clock: systemClock,
      session,
      label: 'walk',
      durationS: source.durationS,
      signal: ending.signal,
    });
  };
  const stop = async (): Promise<void> => {
    ending.abort();
    await playing;
  };
  const device = await openDevice({
    url,
    key,
    store: memoryStore({ maxBytes: 8 * 1024 * 1024 }),
    async onCommand({ name, argument }) {
      if (name === 'start') start(JSON.parse(argument ?? '{}') as StartParams);
      else if (name === 'stop') await stop();
      return 'done';
    },
  });
  return {
    walk() {
      start({ session: device.session, segment: foot });
      return device.session;
    },
    async close() {
      await stop();
      await device.close({ drainMs: 0 });
    },
  };
}
