/**
 * Owns the journal of a tortured device: what its store took, what it refused, and what the server acknowledged, one
 * line each, written before anything else follows from it. It survives the death of the process, as the store does, and
 * is what the checker holds against the database. Bound: some 120 bytes a stream and flush, on disk.
 */

import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';

/** Readings that the device's store numbered: [firstSeq, firstSeq + count) of an epoch. */
export interface Taken {
  readonly stream: string;
  readonly epoch: string;
  readonly firstSeq: number;
  readonly count: number;
  readonly life: number;
  readonly firstNumber: number;
  readonly firstUs: number;
  readonly periodNs: number;
  /** count x u32 little endian as hexadecimal digits, or empty when evenly spaced. */
  readonly deltas: string;
}

/** A range [from, to) of an epoch that the server stated as settled, or that was declared lost by the device. */
export interface Stated {
  readonly stream: string;
  readonly epoch: string;
  readonly from: number;
  readonly to: number;
}

export interface JournalContent {
  readonly taken: Taken[];
  /** Readings that got numbers and could not be kept: the disk was full. */
  readonly refused: Stated[];
  readonly acknowledged: Stated[];
}

export interface DeviceJournal {
  taken(entry: Taken): void;
  refused(entry: Stated): void;
  acknowledged(entry: Stated): void;
  close(): void;
}

export function openJournal(file: string): DeviceJournal {
  const descriptor = openSync(file, 'a');
  const write = (words: readonly (string | number)[]): void => {
    writeSync(descriptor, `${words.join(' ')}\n`);
  };
  const stated = (kind: string, { stream, epoch, from, to }: Stated): void =>
    write([kind, stream, epoch, from, to]);
  return {
    taken: ({ stream, epoch, firstSeq, count, life, firstNumber, firstUs, periodNs, deltas }) =>
      write(['T', stream, epoch, firstSeq, count, life, firstNumber, firstUs, periodNs, deltas]),
    refused: (entry) => stated('R', entry),
    acknowledged: (entry) => stated('A', entry),
    close: () => closeSync(descriptor),
  };
}

/** Reads the journal of all lives of a device. A line that a killed process left unfinished is left out. */
export function readJournal(file: string): JournalContent {
  const content: JournalContent = { taken: [], refused: [], acknowledged: [] };
  const lines = readFileSync(file, 'latin1').split('\n');
  lines.pop();
  for (const line of lines) {
    const [kind, stream = '', epoch = '', a, b, ...rest] = line.split(' ');
    if (kind === 'T') {
      const [life, firstNumber, firstUs, periodNs] = rest.map(Number);
      content.taken.push({
        stream,
        epoch,
        firstSeq: Number(a),
        count: Number(b),
        life: life!,
        firstNumber: firstNumber!,
        firstUs: firstUs!,
        periodNs: periodNs!,
        deltas: rest[4] ?? '',
      });
    } else if (kind === 'A' || kind === 'R')
      content[kind === 'A' ? 'acknowledged' : 'refused'].push({
        stream,
        epoch,
        from: Number(a),
        to: Number(b),
      });
  }
  return content;
}
