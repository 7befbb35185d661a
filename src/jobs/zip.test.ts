import { inflateRawSync } from 'node:zlib';

import { expect, test } from 'vitest';

import { zipBytes, type ZipEntry } from '#jobs/zip.ts';

const AT_MS = Date.UTC(2026, 10, 22, 8, 30, 42);

async function zipped(entries: readonly ZipEntry[]): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of zipBytes(entries, AT_MS)) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** Reads a zip by its directory, as unzip does. */
function entriesOf(zip: Buffer): { name: string; content: string; method: number; time: number }[] {
  const end = zip.length - 22;
  expect(zip.readUInt32LE(end)).toBe(0x0605_4b50);
  const found = [];
  let at = zip.readUInt32LE(end + 16);
  for (let i = 0; i < zip.readUInt16LE(end + 10); i++) {
    expect(zip.readUInt32LE(at)).toBe(0x0201_4b50);
    const [method, time, packed, bytes, nameLength, offset] = [
      zip.readUInt16LE(at + 10),
      zip.readUInt32LE(at + 12),
      zip.readUInt32LE(at + 20),
      zip.readUInt32LE(at + 24),
      zip.readUInt16LE(at + 28),
      zip.readUInt32LE(at + 42),
    ];
    const name = zip.toString('utf8', at + 46, at + 46 + nameLength);
    expect(zip.readUInt32LE(offset)).toBe(0x0403_4b50);
    const from = offset + 30 + zip.readUInt16LE(offset + 26);
    const data = zip.subarray(from, from + packed);
    const content = method === 0 ? data : inflateRawSync(data);
    expect(content.length).toBe(bytes);
    found.push({ name, content: content.toString(), method, time });
    at += 46 + nameLength;
  }
  return found;
}

test('entries are read back by the directory, packed or as they are', async () => {
  const long = 'time,value\r\n'.repeat(10_000);
  const zip = await zipped([
    { name: 'readings/a.csv', content: [Buffer.from(long.slice(0, 7)), Buffer.from(long.slice(7))] },
    { name: 'gänge.parquet', content: [Buffer.from('as it is')], isPackable: false },
    { name: 'empty.json', content: [] },
  ]);
  const time = (((46 << 9) | (11 << 5) | 22) << 16) | ((8 << 11) | (30 << 5) | 21);
  expect(entriesOf(zip)).toEqual([
    { name: 'readings/a.csv', content: long, method: 8, time: time >>> 0 },
    { name: 'gänge.parquet', content: 'as it is', method: 0, time: time >>> 0 },
    { name: 'empty.json', content: '', method: 8, time: time >>> 0 },
  ]);
  expect(zip.length).toBeLessThan(long.length / 10);
});

test('what the content throws comes out, packed or not', async () => {
  for (const isPackable of [true, false]) {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('a');
      throw new Error('the source broke');
    }
    await expect(zipped([{ name: 'a', content: broken(), isPackable }])).rejects.toThrow('the source broke');
  }
});
