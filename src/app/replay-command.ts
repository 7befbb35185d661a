/** Owns `kymo replay`: sends a recording to a server at true rate, as the device that recorded it would have. */

import { parseArgs } from 'node:util';

import { systemClock as clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { uuidv7 } from '#base/uuid.ts';
import { play } from '#simulator/player.ts';
import { loadRecording, recordingSource } from '#simulator/recording.ts';
import { connectSimulatedDevice } from '#simulator/simulated-device.ts';

const DRAIN_MS = 30_000;

export const replayCommand = {
  help: `Usage: kymo replay FOLDER NAME --url URL --key KEY

  FOLDER          a folder with a manifest.json, e.g. data/gaitmap
  NAME            a recording of it, e.g. healthy_2x20m
  --url <url>     the server (default http://127.0.0.1:7900)
  --key <key>     a device key, from kymo device add or POST /v1/devices
  --label <text>  how the session is called; a code, never a person's name`,

  async run(args: readonly string[]): Promise<number> {
    const { positionals, values } = parse(args);
    const [folder, name] = positionals;
    if (folder === undefined || name === undefined || values.key === undefined)
      throw new AppError('invalid-field', 'kymo replay FOLDER NAME --url URL --key KEY');
    const recording = await loadRecording(folder, name);
    const device = await connectSimulatedDevice({ url: values.url, key: values.key });
    const ended = new AbortController();
    process.once('SIGINT', () => ended.abort());
    await play({
      device,
      sources: recording.streams.map(recordingSource),
      clock,
      session: uuidv7(clock),
      label: values.label ?? name,
      durationS: Number.POSITIVE_INFINITY,
      signal: ended.signal,
    });
    const isDrained = await device.drained({ timeoutMs: DRAIN_MS });
    await device.close();
    if (!isDrained)
      throw new AppError('store-unavailable', 'the server did not acknowledge everything in time');
    console.log('Everything was acknowledged.');
    return 0;
  },
};

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        url: { type: 'string', default: 'http://127.0.0.1:7900' },
        key: { type: 'string' },
        label: { type: 'string' },
      },
    });
  } catch (cause) {
    throw new AppError('invalid-field', (cause as Error).message, { cause });
  }
}
