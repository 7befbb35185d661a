/**
 * Owns what `kymo analyse` reads: a recording's folder (manifest.json), a folder that `kymo export` wrote (session.json and
 * CSV), one CSV file, or a session of a running server. All become streams of readings in memory.
 */

import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { AppError } from '#base/errors.ts';
import type { SessionRecord } from '#contract/export.ts';
import type { BodyModel } from '#motion/body-model.ts';
import type { Axis } from '#protocol/messages.ts';
import { loadRecording, parseManifest } from '#simulator/recording.ts';
import { MAX_READINGS, readCsv, type CsvReadings } from '#app/analyse/csv-readings.ts';
import { planFiles } from '#app/export-plan.ts';
import type { ServerRequests } from '#app/server-request.ts';

export interface AnalysisStream {
  readonly id: string;
  readonly segment: string;
  readonly axes: readonly Axis[];
  readonly rateHz: number;
  readonly clock: 'device' | 'none';
  readonly timesUs: Float64Array;
  /** Row by row. */
  readonly values: Float32Array;
}

export interface AnalysisInput {
  /** What it is called on plots and in file names; never a person's name. */
  readonly name: string;
  readonly synthetic: boolean;
  readonly streams: readonly AnalysisStream[];
  /** As it is kept with the session; null where there is none. */
  readonly bodyModel: BodyModel | null;
}

export type Step = (name: string, done: number, of: number) => void;

/** A recording, an export or a CSV file on disk. Throws AppError that says what the path is and what is expected. */
export async function readInputFile(
  path: string,
  given: {
    readonly recording: string | undefined;
    readonly segment: string | undefined;
    readonly step: Step;
  },
): Promise<AnalysisInput> {
  const found = await stat(path).catch(() => null);
  if (found === null)
    throw new AppError('not-found', `there is no ${path}: give a folder, a CSV file, or the id of a session`);
  if (found.isFile()) return readCsvFile(path, found.size, given);
  const has = (name: string): Promise<boolean> =>
    stat(join(path, name)).then(
      (one) => one.isFile(),
      () => false,
    );
  if (await has('session.json')) return readExport(path, given.step);
  if (await has('manifest.json')) return readRecording(path, given.recording);
  throw new AppError(
    'not-found',
    `${path} has neither a manifest.json (recording) nor a session.json (export)`,
  );
}

async function readRecording(folder: string, wanted: string | undefined): Promise<AnalysisInput> {
  const manifest = parseManifest(await readFile(join(folder, 'manifest.json'), 'utf8'));
  if (!manifest.ok) throw new AppError(manifest.error.code, `${folder}: ${manifest.error.message}`);
  const names = [...new Set(manifest.value.streams.map(({ recording }) => recording))];
  if (wanted === undefined && names.length > 1)
    throw new AppError(
      'invalid-field',
      `${folder} has ${names.length} recordings: give --recording with one of ${names.join(', ')}`,
    );
  const recording = await loadRecording(folder, wanted ?? names[0]!);
  return {
    name: recording.name,
    synthetic: false,
    bodyModel: null,
    streams: recording.streams.map(({ definition, readings, readingCount }) => ({
      id: `${definition.segment}-${definition.sensor}`,
      segment: definition.segment,
      axes: definition.axes,
      rateHz: definition.rateHz,
      clock: 'device',
      timesUs: Float64Array.from({ length: readingCount }, (_, i) =>
        Math.round((i * 1e6) / definition.rateHz),
      ),
      values: readings,
    })),
  };
}

async function readExport(folder: string, step: Step): Promise<AnalysisInput> {
  const record = JSON.parse(await readFile(join(folder, 'session.json'), 'utf8')) as SessionRecord;
  const files = planFiles(record.streams, { format: 'csv', wanted: undefined });
  const streams: AnalysisStream[] = [];
  for (const [i, { stream, name }] of files.entries()) {
    step('reading', i, files.length);
    const path = join(folder, name);
    if ((await stat(path).catch(() => null)) === null) continue;
    streams.push(streamOf(await readCsv(createReadStream(path), name), stream.definition));
  }
  if (streams.length === 0)
    throw new AppError('not-found', `${folder} has no CSV of its streams: export it with --format csv`);
  const { session } = record;
  return {
    name: printable(session.label || session.id),
    synthetic: session.synthetic,
    streams,
    bodyModel: null,
  };
}

async function readCsvFile(
  path: string,
  bytes: number,
  { segment, step }: { readonly segment: string | undefined; readonly step: Step },
): Promise<AnalysisInput> {
  const name = basename(path);
  if (segment === undefined)
    throw new AppError(
      'invalid-field',
      `${name}: say with --segment on which part of the body the sensor was, such as left-foot or lower-back`,
    );
  let done = 0;
  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const chunk of createReadStream(path) as AsyncIterable<Uint8Array>) {
      done += chunk.length;
      step('reading', done, bytes);
      yield chunk;
    }
  }
  const readings = await readCsv(counted(), name);
  const rateHz = rateOf(readings.timesUs, name);
  return {
    name: printable(name.replace(/\.csv$/i, '')),
    synthetic: false,
    bodyModel: null,
    streams: [streamOf(readings, { stream: segment, segment, rateHz, clock: 'device' })],
  };
}

/** The readings that a server has committed of a session, and the body model that it keeps for it. */
export async function readSession(
  server: ServerRequests,
  session: string,
  { signal, step }: { readonly signal: AbortSignal; readonly step: Step },
): Promise<AnalysisInput> {
  const path = `/v1/sessions/${encodeURIComponent(session)}`;
  const record = (await (await server.open(`${path}/record`, signal)).json()) as SessionRecord;
  const files = planFiles(record.streams, { format: 'csv', wanted: undefined });
  const all = files.reduce((sum, { stored }) => sum + stored, 0);
  const streams: AnalysisStream[] = [];
  let before = 0;
  for (const { stream, name, stored } of files) {
    if (stored > MAX_READINGS)
      throw new AppError(
        'limit-exceeded',
        `${name} has more than ${MAX_READINGS} readings: export a part of it`,
      );
    step('reading', before, all);
    const { definition } = stream;
    const response = await server.open(`/v1/streams/${definition.stream}/export?format=csv`, signal);
    if (response.body === null) throw new AppError('internal', 'the server sent no readings');
    streams.push(streamOf(await readCsv(response.body, name), definition));
    before += stored;
  }
  const kept = (await (await server.open(`${path}/body-model`, signal)).json()) as {
    bodyModel: BodyModel;
  };
  return {
    name: printable(record.session.label || session),
    synthetic: record.session.synthetic,
    streams,
    bodyModel: kept.bodyModel,
  };
}

/** Labels come from others, and a terminal obeys control characters. */
function printable(name: string): string {
  return name.replaceAll(/\p{Cc}/gu, '\ufffd');
}

function streamOf(
  readings: CsvReadings,
  {
    stream,
    segment,
    rateHz,
    clock,
  }: { stream: string; segment: string; rateHz: number; clock: 'device' | 'none' },
): AnalysisStream {
  return { id: stream, segment, rateHz, clock, ...readings };
}

/** By the mean of the steps that are no gaps: those of up to one and a half times the median. */
function rateOf(timesUs: Float64Array, name: string): number {
  const steps = timesUs.slice(1).map((timeUs, i) => timeUs - timesUs[i]!);
  const median = steps.toSorted()[Math.floor(steps.length / 2)];
  if (median === undefined || !(median > 0))
    throw new AppError('malformed-message', `${name}: time_us does not grow from row to row`);
  const usual = steps.filter((step) => step > 0 && step < 1.5 * median);
  const mean = usual.reduce((sum, step) => sum + step, 0) / usual.length;
  return Math.round(1e9 / mean) / 1000;
}
