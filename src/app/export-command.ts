/**
 * Owns `kymo export`: writes a session of a running server into a folder, one file a stream and session.json beside them.
 * A file has a temporary name until it is whole, and session.json comes last, so what carries its own name is complete.
 */

import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { systemClock as clock } from '#base/clock.ts';
import { AppError, messageOf } from '#base/errors.ts';
import { readingsHeader, type ExportFormat } from '#contract/export-format.ts';
import type { SessionRecord } from '#contract/export.ts';
import { bytesOfReading, parseFormat, parseTime, planFiles, type PlannedFile } from '#app/export-plan.ts';
import { createServerRequests, type ServerRequests } from '#app/server-request.ts';
import { createWorkProgress, formatBytes, formatCount } from '#app/work-progress.ts';

const usage = 'kymo export SESSION --url URL --key KEY';
const recordName = 'session.json';

export const exportCommand = {
  help: `Usage: kymo export SESSION [--url URL] --key KEY [flags]

  SESSION            the id of a session
  --url <url>        the server (default http://127.0.0.1:7900); the address that kymo start printed has the key in it
  --key <key>        an access key (ka_...)
  --format <format>  csv (default) or parquet
  --out <folder>     where to write (default kymo-SESSION); made when it does not exist
  --streams <list>   only these, by id or segment, with commas between
  --from <time>      device time, from here on: 2026-11-22T08:30:00Z, or microseconds since 1970
  --to <time>        device time, up to here, exclusive
  --force            replace files that exist
  --json             tell machines: one JSON object a line

Writes a file a stream, and ${recordName} with what is to be known beside the readings: docs/export.md.`,

  async run(args: readonly string[]): Promise<number> {
    const { session, values } = parse(args);
    const range = { fromUs: parseTime('from', values.from), toUs: parseTime('to', values.to) };
    const format = parseFormat(values.format);
    const server = createServerRequests({ url: values.url, key: values.key, clock });
    const folder = resolve(values.out ?? `kymo-${session}`);
    const stopped = new AbortController();
    const stop = (): void => stopped.abort();
    process.once('SIGINT', stop);
    process.once('SIGTERM', stop);
    try {
      const record = await readRecord(server, session, stopped.signal);
      const files = planFiles(record.streams, { format, wanted: values.streams });
      await mkdir(folder, { recursive: true });
      if (!values.force) await refuseExisting(folder, [...files.map(({ name }) => name), recordName]);
      await writeAll({
        server,
        folder,
        record,
        files,
        format,
        range,
        isJson: values.json,
        signal: stopped.signal,
      });
    } catch (error) {
      if (stopped.signal.aborted)
        throw new AppError('draining', 'stopped: what was complete is kept, the rest is removed', {
          cause: error,
        });
      throw error;
    } finally {
      process.off('SIGINT', stop);
      process.off('SIGTERM', stop);
    }
    return 0;
  },
};

interface ExportJob {
  readonly server: ServerRequests;
  readonly folder: string;
  readonly record: SessionRecord;
  readonly files: readonly PlannedFile[];
  readonly format: ExportFormat;
  readonly range: { readonly fromUs: number | null; readonly toUs: number | null };
  readonly isJson: boolean;
  readonly signal: AbortSignal;
}

async function readRecord(
  server: ServerRequests,
  session: string,
  signal: AbortSignal,
): Promise<SessionRecord> {
  try {
    const response = await server.open(`/v1/sessions/${encodeURIComponent(session)}/record`, signal);
    return (await response.json()) as SessionRecord;
  } catch (error) {
    if (error instanceof AppError && (error.code === 'not-found' || error.code === 'invalid-field'))
      throw new AppError(
        error.code,
        `there is no session ${session} for this key: its page in the browser has the id in its address`,
        { cause: error },
      );
    throw error;
  }
}

async function refuseExisting(folder: string, names: readonly string[]): Promise<void> {
  for (const name of names)
    if (await stat(join(folder, name)).catch(() => null))
      throw new AppError(
        'conflict',
        `${join(folder, name)} exists: give --force to replace it, or --out with another folder`,
      );
}

async function writeAll(job: ExportJob): Promise<void> {
  const { files, format, folder, record } = job;
  const progress = createWorkProgress(clock, job.isJson);
  // Sizes are estimates until the first file shows what a reading really takes. The bar is that of all that is left.
  let factor = 1;
  const bytesOf = ({ stored, stream }: PlannedFile): number =>
    stored * factor * bytesOfReading(format, stream.definition.axes.length);
  const written: object[] = [];
  let left = [...files];
  for (const file of files) {
    left = left.filter((one) => one !== file);
    const after = left.reduce((sum, one) => sum + bytesOf(one), 0);
    const { readings, bytes } = await writeStream(job, file, (soFar, expected) =>
      progress.update(
        `Exporting ${file.stream.definition.segment}${left.length === 0 ? '' : ` and ${left.length} more`}`,
        { bytes: soFar, ofBytes: Math.max(soFar, factor * expected) + after },
      ),
    );
    if (readings > 0)
      factor = bytes / (readings * bytesOfReading(format, file.stream.definition.axes.length));
    const isWhole = job.range.fromUs === null && job.range.toUs === null;
    const facts = {
      file: file.name,
      stream: file.stream.definition.stream,
      segment: file.stream.definition.segment,
      bytes,
      ...(isWhole ? { readings } : { readingsAtMost: readings }),
    };
    written.push(facts);
    progress.finished(
      `${file.name}: ${isWhole ? '' : 'at most '}${formatCount(readings)} readings, ${formatBytes(bytes)}`,
      facts,
    );
  }
  const exported = {
    exportedAt: new Date(clock.nowUs() / 1000).toISOString(),
    format,
    ...job.range,
    files: written,
  };
  const text = `${JSON.stringify({ export: exported, ...record }, null, 2)}\n`;
  await writeWhole(join(folder, recordName), [Buffer.from(text)]);
  progress.finished(`${join(folder, recordName)}: all ${files.length} streams are complete`, {
    folder,
    file: recordName,
    session: record.session.id,
  });
}

/** Downloads one stream into its file. `onBytes` hears how much has come, and how much is expected at first estimate. */
async function writeStream(
  { server, folder, format, range, signal }: ExportJob,
  { stream, name }: PlannedFile,
  onBytes: (soFar: number, expected: number) => void,
): Promise<{ readings: number; bytes: number }> {
  const query = new URLSearchParams({ format });
  for (const [field, value] of Object.entries(range)) if (value !== null) query.set(field, String(value));
  const { definition } = stream;
  const response = await server.open(`/v1/streams/${definition.stream}/export?${query.toString()}`, signal);
  const readings = Number(response.headers.get(readingsHeader) ?? 0);
  const expected = readings * bytesOfReading(format, definition.axes.length);
  let bytes = 0;
  async function* counted(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      for await (const piece of body) {
        bytes += piece.length;
        onBytes(bytes, expected);
        yield piece;
      }
    } catch (cause) {
      if (signal.aborted) throw cause;
      throw new AppError(
        'unreachable',
        `the server broke off ${name} (${messageOf(cause)}): it was stopped, or the readings were removed meanwhile. ` +
          'Try again; files that are complete stay where they are',
        { temporary: true, cause },
      );
    }
  }
  await writeWhole(join(folder, name), counted(response.body ?? emptyBody()));
  return { readings, bytes };
}

async function* emptyBody(): AsyncGenerator<Uint8Array> {}

/** Writes `path` under a temporary name, which it loses when all is on the disk; after a failure nothing is left. */
async function writeWhole(
  path: string,
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<void> {
  const temporary = `${path}.${process.pid}.part`;
  try {
    const file = await open(temporary, 'w');
    try {
      for await (const piece of pieces) await file.writeFile(piece);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw writeError(error, path);
  }
}

function writeError(error: unknown, path: string): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOSPC')
    return new AppError(
      'conflict',
      `the disk is full: free some space, or give --out another one than that of ${path}`,
      {
        cause: error,
      },
    );
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS' || code === 'ENOTDIR')
    return new AppError('forbidden', `${path} cannot be written: give --out a folder that can`, {
      cause: error,
    });
  return error;
}

function parse(args: readonly string[]) {
  let parsed;
  try {
    parsed = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        url: { type: 'string', default: 'http://127.0.0.1:7900' },
        key: { type: 'string' },
        format: { type: 'string', default: 'csv' },
        out: { type: 'string' },
        streams: { type: 'string' },
        from: { type: 'string' },
        to: { type: 'string' },
        force: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
      },
    });
  } catch (cause) {
    throw new AppError('invalid-field', `${(cause as Error).message}; it is ${usage}`, { cause });
  }
  const [session, ...more] = parsed.positionals;
  if (session === undefined || more.length > 0) throw new AppError('invalid-field', `it is ${usage}`);
  // A uuid and nothing else: it becomes part of a folder's name.
  if (!/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(session))
    throw new AppError(
      'invalid-field',
      `${session} is no id of a session: its page in the browser has the id in its address`,
    );
  return { session, values: parsed.values };
}
