/**
 * Owns what one set of recordings with references is to `npm run bench -- accuracy`: a folder with a manifest, and a function
 * that measures our algorithms on whatever trials it lists. A set reads nothing but its folder, and chooses nothing by
 * what it finds in the references.
 */

import { endianness } from 'node:os';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { assert } from '#base/assert.ts';
import { AppError } from '#base/errors.ts';

export interface AccuracyRow {
  /** The trial, person or group that it was measured on, as a reader of the data knows it; `all` for the whole set. */
  readonly trials: string;
  readonly metric: string;
  readonly unit: string;
  readonly ours: number | null;
  readonly published: number | null;
  /** Who published the figure, and of what; null without one. */
  readonly publishedBy: string | null;
}

export interface AccuracySet {
  /** The name of its folder. */
  readonly name: string;
  /** How the figures are obtained and what was never looked at, in sentences for docs/accuracy.md. */
  readonly method: string;
  /** `step` tells that so much of the work (0 to 1) is done. */
  measure(folder: string, step: (share: number) => void): Promise<readonly AccuracyRow[]>;
}

/** A table of a manifest: the keys that all sets have; `more` has the rest as it stands there. */
export interface AccuracyTable {
  readonly file: string;
  readonly rows: number;
  readonly columns: readonly string[];
  readonly rateHz: number;
  readonly more: Readonly<Record<string, unknown>>;
}

/** Entries of the folder's manifest.json, those without columns (notes on other files) included with none. */
export async function readAccuracyManifest(folder: string): Promise<readonly AccuracyTable[]> {
  const value: unknown = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8'));
  const entries = Array.isArray(value) ? value : (value as { streams?: unknown }).streams;
  if (!Array.isArray(entries)) throw new AppError('malformed-message', `${folder}/manifest.json is no list`);
  return (entries as Record<string, unknown>[]).map((entry) => ({
    file: String(entry['file']),
    rows: Number(entry['rows'] ?? 0),
    columns: (entry['columns'] as string[] | undefined) ?? [],
    rateHz: Number(entry['fs'] ?? 0),
    more: entry,
  }));
}

/** All values of a table, row-major, scaled; NaN where the file has it. */
export async function readAccuracyTable(folder: string, table: AccuracyTable): Promise<Float64Array> {
  assert(endianness() === 'LE', 'the tables are little endian, and so must be the machine');
  const bytes = await readFile(join(folder, table.file));
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
  const raw =
    table.more['dtype'] === 'int16le'
      ? new Int16Array(buffer)
      : table.more['dtype'] === 'float64le'
        ? new Float64Array(buffer)
        : new Float32Array(buffer);
  const width = table.columns.length;
  if (raw.length !== table.rows * width)
    throw new AppError(
      'conflict',
      `${table.file} has ${raw.length} values, its manifest says ${table.rows * width}`,
    );
  const scale = table.more['scale'] as readonly number[] | number | undefined;
  const values = Float64Array.from(raw);
  if (scale !== undefined)
    for (let i = 0; i < values.length; i++)
      values[i] = values[i]! * (typeof scale === 'number' ? scale : scale[i % width]!);
  return values;
}
