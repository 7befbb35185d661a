/**
 * Owns which references a folder of gaitmap's kind has: lists of strides in JSON files beside the tables. A list belongs to
 * the table all of whose name's words occur in what the manifest says of the list, in its name, and in the stride's foot.
 */

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { AccuracyTable } from '#bench/accuracy/accuracy-set.ts';

/** Times in readings of the table; NaN where the list has none. */
export interface KnownStride {
  /** Initial contact before, final contact, initial contact after. */
  readonly from: number;
  readonly final: number;
  readonly to: number;
  readonly lengthM: number;
}

export interface GaitmapReference {
  readonly table: AccuracyTable;
  /** `events`: initial and final contacts. `borders`: strides from initial contact to initial contact. */
  readonly kind: 'events' | 'borders';
  readonly strides: readonly KnownStride[];
  readonly initial: readonly number[];
  readonly final: readonly number[];
}

type Stride = Readonly<Record<string, unknown>>;

const wordsOf = (text: string): string[] => text.toLowerCase().match(/[a-z0-9.]+/g) ?? [];
const stemOf = (file: string): string => file.replace(/\.[^.]*$/, '');

export async function readGaitmapReferences(
  folder: string,
  tables: readonly AccuracyTable[],
): Promise<readonly GaitmapReference[]> {
  const notes = await readNotes(folder);
  const files = (await readdir(folder)).filter((file) => file.endsWith('.json') && file !== 'manifest.json');
  const references: GaitmapReference[] = [];
  for (const file of files.toSorted()) {
    const list: unknown = JSON.parse(await readFile(join(folder, file), 'utf8'));
    if (!Array.isArray(list)) continue;
    const text = `${stemOf(file)} ${notes.get(file) ?? ''}`;
    for (const table of tables) {
      const strides = (list as Stride[]).filter(
        (stride) => tableOf(tables, `${text} ${footOf(stride)}`) === table,
      );
      const reference = referenceOf(table, strides);
      if (reference !== null) references.push(reference);
    }
  }
  return references;
}

/** What the manifest says of files that are no tables, as one text each. */
async function readNotes(folder: string): Promise<ReadonlyMap<string, string>> {
  const manifest: unknown = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8'));
  const entries = Array.isArray(manifest)
    ? manifest
    : ((manifest as { annotations?: unknown }).annotations ?? []);
  return new Map(
    (entries as Record<string, unknown>[]).map((entry) => [
      String(entry['file']),
      Object.values(entry).join(' '),
    ]),
  );
}

function footOf({ foot }: Stride): string {
  return typeof foot === 'string' ? foot : '';
}

/** The table with the most words among those all of whose words occur. */
function tableOf(tables: readonly AccuracyTable[], text: string): AccuracyTable | undefined {
  const words = new Set(wordsOf(text.replaceAll('_', ' ')));
  return tables
    .map((table) => ({ table, own: wordsOf(stemOf(table.file).replaceAll('_', ' ')) }))
    .filter(({ own }) => own.every((word) => words.has(word)))
    .toSorted((a, b) => b.own.length - a.own.length)[0]?.table;
}

function referenceOf(table: AccuracyTable, list: readonly Stride[]): GaitmapReference | null {
  const value = (stride: Stride, key: string): number => Number(stride[key] ?? Number.NaN);
  const events = list
    .map((stride) => ({
      from: value(stride, 'pre_ic'),
      final: value(stride, 'tc'),
      to: value(stride, 'ic'),
      lengthM: value(stride, 'mocap_stride_length_m'),
    }))
    .filter(({ to }) => Number.isFinite(to));
  if (events.length > 0)
    return {
      table,
      kind: 'events',
      strides: events,
      initial: unique(events.map(({ to }) => to)),
      final: unique(events.map(({ final }) => final)),
    };
  const borders = list
    .map((stride) => ({
      from: value(stride, 'start'),
      final: Number.NaN,
      to: value(stride, 'end'),
      lengthM: Number.NaN,
    }))
    .filter(({ from, to }) => from < to);
  if (borders.length === 0) return null;
  const initial = unique(borders.flatMap(({ from, to }) => [from, to]));
  return { table, kind: 'borders', strides: borders, initial, final: [] };
}

function unique(times: readonly number[]): number[] {
  return [...new Set(times.filter((time) => Number.isFinite(time)))].toSorted((a, b) => a - b);
}
