/**
 * Owns the download of a stream's readings as CSV or Parquet, and what is to be known of a session beside them. A
 * download goes as fast as its client takes it. Bounds: `maxExports` at once, `mostOfOne` of an organisation; a client that
 * takes nothing for `stallMs` is cut off; stopping the server ends all of them. A download that could not be completed ends
 * without its last chunk (RFC 9112 section 8), so that no client takes a part for the whole.
 */

import { Readable } from 'node:stream';

import { Counter, Gauge } from 'prom-client';
import { Type } from 'typebox';

import { AppError, messageOf } from '#base/errors.ts';
import { exportFormats, readingsHeader, type ExportFormat } from '#contract/export-format.ts';
import { SessionRecord } from '#contract/export.ts';
import { Id } from '#contract/rest.ts';
import { limits } from '#protocol/limits.ts';
import { csvBytes } from '#store/export-csv.ts';
import { parquetBytes } from '#store/export-parquet.ts';
import type { StreamExport } from '#store/export-queries.ts';
import { principalOf } from '#api/access.ts';
import type { Api, ApiOptions } from '#api/api-options.ts';
import { answers, described, security } from '#api/route-schemas.ts';

const streamConfig = { access: 'session.read', subject: 'stream' } as const;
const config = { access: 'session.read', subject: 'session' } as const;
const tags = ['export'];

export const exportRouteLimits = {
  /** Each takes half a core while its client keeps up, and holds up to 20 MB. */
  maxExports: 4,
  /** Whoever takes a download slowly keeps its place for hours; one is left for others. */
  mostOfOne: 3,
  /** Twice what browsers and proxies take for a connection that hangs. */
  stallMs: 60_000,
  /** What may wait for the client: one row group's column, or some turns of CSV. */
  bufferBytes: 256 * 1024,
} as const;

const mediaTypes: Record<ExportFormat, string> = {
  csv: 'text/csv; charset=utf-8; header=present',
  parquet: 'application/vnd.apache.parquet',
};

const TimeUs = Type.Integer({ minimum: -(limits.timeUsExclusive - 1), maximum: limits.timeUsExclusive - 1 });

const ExportQuery = Type.Object(
  {
    format: Type.Optional(
      Type.Union(
        exportFormats.map((format) => Type.Literal(format)),
        { description: 'default csv' },
      ),
    ),
    fromUs: Type.Optional(described(TimeUs, 'device time in microseconds; default the beginning')),
    toUs: Type.Optional(described(TimeUs, 'device time in microseconds, exclusive; default the end')),
  },
  { additionalProperties: false },
);

export function addExportRoutes(api: Api, options: ApiOptions): void {
  const downloads = createDownloads(options);
  api.addHook('preClose', async () => downloads.stop());

  api.get('/v1/streams/:id/export', {
    config: streamConfig,
    // Fastify's own answer to HEAD would read the whole stream to throw it away.
    exposeHeadRoute: false,
    schema: {
      tags,
      operationId: 'exportStream',
      summary: "A stream's readings as a file",
      description:
        'What is committed when the download starts, in the order of (epoch, number). The header `kymo-readings` says ' +
        'how many readings come: exactly for a whole stream, at most for a range of time. A download that could not ' +
        'be completed is broken off, never ended as if it were whole.',
      security: security('session.read'),
      produces: ['text/csv', mediaTypes.parquet],
      params: Type.Object({ id: Id }),
      querystring: ExportQuery,
      response: answers(
        { 200: described(Type.String(), 'The file; docs/export.md describes both formats.') },
        { ...streamConfig, refusals: [400, 404] },
      ),
    },
    handler: async (request, reply) => {
      const { format = 'csv', fromUs = null, toUs = null } = request.query;
      const { orgId } = principalOf(request);
      const leave = downloads.enter(format, orgId);
      let source: StreamExport | null;
      try {
        source = await options.exports.open(orgId, {
          streamId: request.params.id,
          fromUs,
          toUs,
        });
        if (source === null) throw new AppError('not-found', 'there is no such stream');
      } catch (error) {
        leave('refused');
        throw error;
      }
      return reply
        .type(mediaTypes[format])
        .header('content-disposition', `attachment; filename="${fileName(source, format)}"`)
        .header(readingsHeader, source.readings)
        .send(downloads.start(source, { format, leave }));
    },
  });

  api.get('/v1/sessions/:id/record', {
    config,
    schema: {
      tags,
      operationId: 'getSessionRecord',
      summary: 'What is to be known of a session beside its readings',
      description:
        'Definitions of its streams, what is stored and missing of each epoch and why, and clock observations. ' +
        '`kymo export` writes it as session.json.',
      security: security('session.read'),
      params: Type.Object({ id: Id }),
      response: answers({ 200: SessionRecord }, { ...config, refusals: [400, 404] }),
    },
    handler: async (request) => {
      const { orgId } = principalOf(request);
      const detail = await options.sessions.detail(orgId, request.params.id);
      if (detail === null) throw new AppError('not-found', 'there is no such session');
      const record = await options.exports.record(orgId, request.params.id);
      return { kymo: options.about.version, session: detail.session, ...record };
    },
  });
}

/** Ids and the segment only: a file lies about for years, and its name is seen by many. */
function fileName({ definition }: StreamExport, format: ExportFormat): string {
  const segment = definition.segment.replaceAll(/[^A-Za-z0-9._-]+/g, '-');
  return `kymo-${definition.session}-${segment}-${definition.stream}.${format}`;
}

type Outcome = 'completed' | 'refused' | 'broken';

interface Downloads {
  /** Takes one of the places; the returned function gives it back, once. Throws AppError `overloaded`. */
  enter(format: ExportFormat, orgId: string): (outcome: Outcome) => void;
  start(source: StreamExport, options: { format: ExportFormat; leave: (outcome: Outcome) => void }): Readable;
  /** Breaks all of them off. */
  stop(): void;
}

function createDownloads({ metrics, clock, about, log }: ApiOptions): Downloads {
  const active = new Set<Readable>();
  const takenBy = new Map<string, number>();
  let taken = 0;
  new Gauge({
    name: 'kymo_exports_active',
    help: 'Downloads of readings under way.',
    registers: [metrics],
    collect() {
      this.set(taken);
    },
  });
  const ended = new Counter({
    name: 'kymo_exports_total',
    help: 'Downloads of readings that ended, by format and outcome.',
    labelNames: ['format', 'outcome'],
    registers: [metrics],
  });
  return {
    enter(format, orgId) {
      const own = takenBy.get(orgId) ?? 0;
      if (taken >= exportRouteLimits.maxExports || own >= exportRouteLimits.mostOfOne) {
        ended.inc({ format, outcome: 'refused' });
        const running =
          own >= exportRouteLimits.mostOfOne ? `${own} exports of this organisation` : `${taken} exports`;
        throw new AppError('overloaded', `${running} run already: try again when one has ended`, {
          temporary: true,
        });
      }
      taken++;
      takenBy.set(orgId, own + 1);
      return (outcome) => {
        taken--;
        const left = takenBy.get(orgId)! - 1;
        if (left === 0) takenBy.delete(orgId);
        else takenBy.set(orgId, left);
        ended.inc({ format, outcome });
      };
    },
    start(source, { format, leave }) {
      const bytes = format === 'csv' ? csvBytes(source) : parquetBytes(source, about);
      let disarm = (): void => undefined;
      const download = Readable.from(watched(bytes), {
        objectMode: false,
        highWaterMark: exportRouteLimits.bufferBytes,
      });
      async function* watched(pieces: AsyncGenerator<Uint8Array, void>): AsyncGenerator<Uint8Array, void> {
        for await (const piece of pieces) {
          disarm = clock.after(exportRouteLimits.stallMs, () =>
            download.destroy(new AppError('overloaded', 'the client took nothing for a minute')),
          );
          yield piece;
          disarm();
        }
      }
      download.once('error', (error) => {
        log.info('an export was broken off', { format, reason: messageOf(error) });
      });
      download.once('close', () => {
        disarm();
        active.delete(download);
        leave(download.readableEnded && download.errored === null ? 'completed' : 'broken');
      });
      active.add(download);
      return download;
    },
    stop() {
      for (const download of active) download.destroy(new AppError('draining', 'the server is stopping'));
    },
  };
}
