/**
 * Owns the readings that sealing is measured on: the recordings of the repository, synthetic walkers, and recordings in
 * other folders, whose manifest lists files with columns and type.
 */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { AppError } from '#base/errors.ts';
import { createSyntheticWalker, walkerOfSeed } from '#simulator/synthetic-walker.ts';
import { typicalErrors } from '#simulator/sensor-errors.ts';
import { walkerSegments } from '#simulator/walker-body.ts';
import { createWalkerTable, walkerSource } from '#simulator/walker-source.ts';
import type { BlockLayout } from '#store/sealed-codec.ts';

export interface SetStream extends BlockLayout {
  readonly n: number;
  readonly rateHz: number;
  /** Readings row by row, as a device sends them. */
  readonly data: Buffer;
}

export interface ReadingSet {
  readonly name: string;
  readonly streams: readonly SetStream[];
}

const RATE_HZ = 200;
/** What a device with 16-bit converters would send: 16 g, 2000 deg/s, 1300 uT full scale. */
const INT16_STEPS = [(16 * 9.80665) / 32_768, 2_000 / 32_768, 1_300 / 32_768] as const;

/** Nine axes at 200 Hz, a sensor on a walking person with the noise of its data sheet. */
export function walkerSet(encoding: BlockLayout['encoding'], seconds: number): ReadingSet {
  const table = createWalkerTable(createSyntheticWalker(walkerOfSeed(7, { rateHz: RATE_HZ })), 9);
  const source = walkerSource(table, {
    segment: walkerSegments[0],
    firstRow: 0,
    errors: { model: typicalErrors, seed: 11 },
  });
  const n = seconds * RATE_HZ;
  const values = new Float32Array(n * 9);
  source.fill(0, n, values);
  let data = Buffer.from(values.buffer);
  if (encoding === 'int16') {
    const steps = Int16Array.from(values, (value, i) =>
      Math.round(value / INT16_STEPS[Math.floor((i % 9) / 3)]!),
    );
    data = Buffer.from(steps.buffer);
  }
  return {
    name: `walker, ${encoding}`,
    streams: [{ n, rateHz: RATE_HZ, axisCount: 9, encoding, data }],
  };
}

interface ManifestEntry {
  readonly file: string;
  readonly rows: number;
  readonly columns: readonly string[];
  readonly dtype: string;
  readonly fs?: number;
}

/** Every sensor axis in a folder with a manifest; reference columns and other types are left out. */
export function folderSet(folder: string, name: string): ReadingSet {
  const manifest = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8')) as
    | readonly ManifestEntry[]
    | { readonly streams: readonly ManifestEntry[] };
  const entries = 'streams' in manifest ? manifest.streams : manifest;
  const streams = entries.flatMap((entry): SetStream[] => {
    if (entry.dtype !== 'float32le' && entry.dtype !== 'int16le') return [];
    const encoding = entry.dtype === 'float32le' ? 'float32' : 'int16';
    const width = encoding === 'float32' ? 4 : 2;
    const axes = entry.columns.flatMap((column, i) => (/acc|gyr|mag|^[LR][AR]/.test(column) ? [i] : []));
    if (axes.length === 0) return [];
    const used = axes.slice(0, 32);
    const bytes = readFileSync(join(folder, entry.file));
    const stride = entry.columns.length * width;
    const n = bytes.length / stride;
    if (!Number.isInteger(n))
      throw new AppError('conflict', `${entry.file} is not a table of ${entry.columns.length}`);
    const data = Buffer.alloc(n * used.length * width);
    let at = 0;
    for (let row = 0; row < n; row++)
      for (const axis of used)
        at += bytes.copy(data, at, row * stride + axis * width, row * stride + (axis + 1) * width);
    return [{ n, rateHz: entry.fs ?? RATE_HZ, axisCount: used.length, encoding, data }];
  });
  return { name, streams };
}

/** Every folder with a manifest in `parent`. */
export function folderSets(parent: string): ReadingSet[] {
  return readdirSync(parent)
    .filter((name) => existsSync(join(parent, name, 'manifest.json')))
    .map((name) => folderSet(join(parent, name), name))
    .filter((set) => set.streams.length > 0);
}
