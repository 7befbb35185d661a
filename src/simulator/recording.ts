/**
 * Owns recordings: folders with a manifest.json and one binary table of float32 readings a stream (data/gaitmap/README.md
 * describes the format). Parsing manifest and bytes is pure and gives coded errors; `loadRecording` is the one function
 * that reads files. Values are bit-equal to the file, NaN included. A stream is at most MAX_STREAM_BYTES.
 */

import { readFile, stat } from 'node:fs/promises';
import { endianness } from 'node:os';
import { join } from 'node:path';

import { Type, type Static } from 'typebox';
import { Compile } from 'typebox/compile';

import { assert } from '#base/assert.ts';
import { AppError } from '#base/errors.ts';
import { fail, ok, type Result } from '#base/result.ts';
import type { ErrorCode } from '#protocol/codes.ts';
import { limits } from '#protocol/limits.ts';
import { assertFill, type ReadingSource, type SourceDefinition } from '#simulator/reading-source.ts';

/** One hour of 9 float axes at 2 kHz. Larger files would need reading in parts; recordings here are minutes long. */
export const MAX_STREAM_BYTES = 3600 * 2000 * 9 * 4;

/** A manifest names a few files; the one of a full-body suit with 17 units and 100 trials has 1,700. */
const MAX_STREAMS = 4096;

const Name = Type.String({ minLength: 1, maxLength: limits.nameCharacters });

const StreamEntry = Type.Object({
  recording: Name,
  /** A plain file name: a manifest must not reach outside its folder. */
  file: Type.String({ pattern: '^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$' }),
  segment: Name,
  sensor: Name,
  rows: Type.Integer({ minimum: 1, maximum: MAX_STREAM_BYTES / 4 }),
  columns: Type.Array(Name, { minItems: 1, maxItems: limits.axesPerStream }),
  /** The unit of each column. */
  units: Type.Array(Name, { minItems: 1, maxItems: limits.axesPerStream }),
  fs: Type.Number({ exclusiveMinimum: 0, maximum: limits.rateHz }),
  dtype: Type.Literal('float32le'),
});

const Manifest = Type.Object({ streams: Type.Array(StreamEntry, { minItems: 1, maxItems: MAX_STREAMS }) });
const manifestValidator = Compile(Manifest);

export type RecordingManifest = Static<typeof Manifest>;
export type RecordingStreamEntry = Static<typeof StreamEntry>;

export interface RecordingError {
  readonly code: ErrorCode;
  readonly message: string;
  /** JSON pointer into the manifest. */
  readonly field?: string;
}

export interface RecordingStream {
  readonly definition: SourceDefinition;
  readonly readingCount: number;
  /** Row-major, `readingCount` rows of one value an axis, bit-equal to the file. */
  readonly readings: Float32Array;
}

export interface Recording {
  readonly name: string;
  readonly streams: readonly RecordingStream[];
}

/** The text of a manifest.json as a checked manifest. Keys that this module does not know are left alone. */
export function parseManifest(text: string): Result<RecordingManifest, RecordingError> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return fail({ code: 'malformed-message', message: 'the manifest is not JSON' });
  }
  if (!manifestValidator.Check(value)) {
    const first = manifestValidator.Errors(value)[0];
    return fail({
      code: 'invalid-field',
      field: first?.instancePath ?? '',
      message: `manifest: ${first?.message ?? 'does not match its schema'}`,
    });
  }
  const taken = new Set<string>();
  for (const [i, entry] of value.streams.entries()) {
    const field = `/streams/${i}`;
    if (entry.units.length !== entry.columns.length)
      return fail({ code: 'invalid-field', field: `${field}/units`, message: 'one unit a column is needed' });
    if (new Set(entry.columns).size !== entry.columns.length)
      return fail({ code: 'invalid-field', field: `${field}/columns`, message: 'two columns have one name' });
    if (bytesOf(entry) > MAX_STREAM_BYTES)
      return fail({
        code: 'limit-exceeded',
        field: `${field}/rows`,
        message: `a stream is at most ${MAX_STREAM_BYTES} bytes`,
      });
    const key = JSON.stringify([entry.recording, entry.segment, entry.sensor]);
    if (taken.has(key))
      return fail({ code: 'conflict', field, message: 'the recording has this segment and sensor already' });
    taken.add(key);
  }
  return ok(value);
}

/** The entries of one recording of the folder, in the order of the manifest. */
export function entriesOf(
  manifest: RecordingManifest,
  recording: string,
): Result<readonly RecordingStreamEntry[], RecordingError> {
  const entries = manifest.streams.filter((entry) => entry.recording === recording);
  if (entries.length > 0) return ok(entries);
  const known = [...new Set(manifest.streams.map((entry) => entry.recording))];
  return fail({ code: 'not-found', message: `no recording ${recording}; there are ${known.join(', ')}` });
}

/** One stream from its entry and the bytes of its file. The bytes are copied, since a file buffer may not be aligned. */
export function parseStream(
  entry: RecordingStreamEntry,
  bytes: Uint8Array,
): Result<RecordingStream, RecordingError> {
  if (bytes.byteLength !== bytesOf(entry))
    return fail({
      code: 'conflict',
      message: `${entry.file} has ${bytes.byteLength} bytes, its manifest says ${bytesOf(entry)}`,
    });
  const readings = new Float32Array(bytes.byteLength / 4);
  new Uint8Array(readings.buffer).set(bytes);
  return ok({
    definition: {
      segment: entry.segment,
      sensor: entry.sensor,
      axes: entry.columns.map((name, i) => ({ name, unit: entry.units[i]! })),
      rateHz: entry.fs,
      synthetic: false,
    },
    readingCount: entry.rows,
    readings,
  });
}

/** Reads one recording of a folder. Throws AppError with the code of a RecordingError, or `not-found` for a file. */
export async function loadRecording(folder: string, name: string): Promise<Recording> {
  assert(endianness() === 'LE', 'recordings are little endian, and so must be the machine');
  const manifest = unwrap(parseManifest(await readText(join(folder, 'manifest.json'))));
  const streams: RecordingStream[] = [];
  for (const entry of unwrap(entriesOf(manifest, name))) {
    const path = join(folder, entry.file);
    // The size is checked before the file is read: a wrong file must not fill the memory.
    const { size } = await orNotFound(path, stat(path));
    if (size !== bytesOf(entry))
      throw new AppError('conflict', `${path} has ${size} bytes, its manifest says ${bytesOf(entry)}`);
    streams.push(unwrap(parseStream(entry, await orNotFound(path, readFile(path)))));
  }
  return { name, streams };
}

/** The stream as a source of its readings. Use `loopedSource` to have it again and again. */
export function recordingSource(stream: RecordingStream): ReadingSource {
  const { definition, readingCount, readings } = stream;
  const axes = definition.axes.length;
  return {
    definition,
    readingCount,
    durationS: readingCount / definition.rateHz,
    fill(firstIndex, count, out) {
      assertFill(this, { firstIndex, count, out });
      // Typed array to typed array copies bytes, so a NaN keeps its payload.
      out.set(readings.subarray(firstIndex * axes, (firstIndex + count) * axes));
    },
  };
}

function bytesOf(entry: RecordingStreamEntry): number {
  return entry.rows * entry.columns.length * 4;
}

function unwrap<T>(result: Result<T, RecordingError>): T {
  if (result.ok) return result.value;
  const { code, message, field } = result.error;
  throw new AppError(code, message, field === undefined ? {} : { field });
}

async function readText(path: string): Promise<string> {
  return (await orNotFound(path, readFile(path))).toString('utf8');
}

async function orNotFound<T>(path: string, pending: Promise<T>): Promise<T> {
  try {
    return await pending;
  } catch (cause) {
    throw new AppError('not-found', `cannot read ${path}`, { cause });
  }
}
