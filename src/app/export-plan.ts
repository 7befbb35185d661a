/**
 * Owns what `kymo export` was asked to write: which streams, which range of device time, and what the files are called.
 * Pure. File names are made of the segment and the stream's id.
 */

import { AppError } from '#base/errors.ts';
import { exportFileName, exportFormats, type ExportFormat } from '#contract/export-format.ts';
import type { ExportStream } from '#contract/export.ts';

export interface PlannedFile {
  readonly stream: ExportStream;
  readonly name: string;
  /** Readings that are stored, of all times. */
  readonly stored: number;
}

export function parseFormat(text: string): ExportFormat {
  const format = exportFormats.find((one) => one === text);
  if (format === undefined)
    throw new AppError('invalid-field', `--format ${text}: it is ${exportFormats.join(' or ')}`);
  return format;
}

/** Microseconds as they are, or a time with its zone. Throws AppError `invalid-field`. */
export function parseTime(flag: string, text: string | undefined): number | null {
  if (text === undefined) return null;
  if (/^-?\d{1,16}$/.test(text)) return Number(text);
  const parts = /^(\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,6}))?(Z|[+-]\d\d:\d\d)$/.exec(text);
  const ms = parts === null ? Number.NaN : Date.parse(`${parts[1]}${parts[3]}`);
  if (Number.isNaN(ms))
    throw new AppError(
      'invalid-field',
      `--${flag} ${text}: give microseconds since 1970, or a time with its zone such as 2026-11-22T08:30:00Z`,
    );
  return ms * 1000 + Number((parts?.[2] ?? '').padEnd(6, '0'));
}

/** The files of the streams that `wanted` names by id or segment; undefined: of all. */
export function planFiles(
  streams: readonly ExportStream[],
  { format, wanted }: { format: ExportFormat; wanted: string | undefined },
): PlannedFile[] {
  const names = wanted?.split(',').map((name) => name.trim());
  const isWanted = ({ definition }: ExportStream): boolean =>
    names === undefined || names.includes(definition.stream) || names.includes(definition.segment);
  for (const name of names ?? [])
    if (!streams.some(({ definition }) => definition.stream === name || definition.segment === name))
      throw new AppError(
        'not-found',
        `the session has no stream "${name}": it has ${streams.map(({ definition }) => `${definition.segment} (${definition.stream})`).join(', ')}`,
      );
  return streams.filter(isWanted).map((stream) => ({
    stream,
    name: exportFileName(stream.definition, format),
    stored: stream.epochs.flatMap(({ stored }) => stored).reduce((sum, [from, to]) => sum + to - from, 0),
  }));
}

/** Bytes that a reading takes in a file, about: what the recordings of data/gaitmap and synthetic ones took. */
export function bytesOfReading(format: ExportFormat, axes: number): number {
  return format === 'csv' ? 70 + 20 * axes : 1 + 3.2 * axes;
}
