/**
 * Owns the export of a whole session as one zip: a file a stream, as CSV or Parquet, and session.json with what is to be known
 * beside them, as `kymo export` writes them (docs/export.md). What is committed when a stream's turn comes belongs to it.
 */

import { AppError } from '#base/errors.ts';
import type { Clock } from '#base/clock.ts';
import { exportFileName, type ExportFormat } from '#contract/export-format.ts';
import { csvBytes } from '#store/export-csv.ts';
import { parquetBytes } from '#store/export-parquet.ts';
import type { ExportQueries } from '#store/export-queries.ts';
import type { SessionQueries } from '#store/session-queries.ts';
import { jobKinds } from '#jobs/kinds.ts';
import { defineTask, type Task } from '#jobs/task.ts';
import { zipBytes, type ZipEntry } from '#jobs/zip.ts';

export interface SessionExportParts {
  readonly exports: ExportQueries;
  readonly sessions: Pick<SessionQueries, 'detail'>;
  readonly clock: Clock;
  /** Of the program: part of what a file says of itself. */
  readonly version: string;
}

export function sessionExportTask(parts: SessionExportParts): Task {
  return defineTask({
    ...jobKinds['session-export'],
    async run({ job, input, report, signal, store }) {
      const { format } = input;
      const session = input.session.toLowerCase();
      const [detail, record] = await Promise.all([
        parts.sessions.detail(job.orgId, session),
        parts.exports.record(job.orgId, session),
      ]);
      if (detail === null) throw new AppError('not-found', 'there is no such session');
      const wanted = input.streams?.map((id) => id.toLowerCase());
      const streams = record.streams.filter(
        ({ definition }) => wanted === undefined || wanted.includes(definition.stream),
      );
      if (wanted !== undefined && streams.length < new Set(wanted).size)
        throw new AppError('not-found', 'the session has not all of these streams');
      let written = 0;
      let readings = 0;
      const expected = streams.reduce((sum, stream) => sum + readingsOf(stream), 0);
      async function* entries(): AsyncGenerator<ZipEntry, void> {
        for (const { definition } of streams) {
          const source = await parts.exports.open(job.orgId, {
            streamId: definition.stream,
            fromUs: null,
            toUs: null,
          });
          if (source === null) throw new AppError('not-found', 'a stream was erased meanwhile');
          readings += source.readings;
          const blocks = async function* () {
            for await (const block of source.blocks()) {
              signal.throwIfAborted();
              written += block.times.length;
              report(expected === 0 ? 0 : written / expected, `writing ${definition.segment}`);
              yield block;
            }
          };
          const counted = { ...source, blocks };
          yield {
            name: exportFileName(definition, format),
            content: format === 'csv' ? csvBytes(counted) : parquetBytes(counted, parts),
            isPackable: isPackable(format),
          };
        }
        const text = JSON.stringify({ kymo: parts.version, session: detail!.session, ...record }, null, 2);
        yield { name: 'session.json', content: [Buffer.from(`${text}\n`)] };
      }
      await store(
        { name: `kymo-session-${session}-${format}.zip`, type: 'application/zip' },
        zipBytes(entries(), parts.clock.nowUs() / 1000),
      );
      return { result: { streams: streams.length, readings } };
    },
  });
}

function isPackable(format: ExportFormat): boolean {
  return format === 'csv';
}

function readingsOf({
  epochs,
}: {
  readonly epochs: readonly { readonly stored: readonly (readonly [number, number])[] }[];
}): number {
  return epochs.flatMap(({ stored }) => stored).reduce((sum, [from, to]) => sum + to - from, 0);
}
