/**
 * Owns the view of a session that has ended: how much was stored and lost, and the traces of its last seconds. Where
 * the device's clock does not agree with the server's, its first seconds are shown instead, and the page says so.
 */

import { useComputedColorScheme } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import type { CSSProperties } from 'react';

import type { ReadingPage, SessionDetail, StreamDetail } from '#contract/rest.ts';
import { formatCount, formatSeconds, formatSegment } from '#web/format.ts';
import { groupAxes } from '#web/live/axis-groups.ts';
import { gridSeconds } from '#web/live/sweep.ts';
import { describeProblem } from '#web/page-states.tsx';
import { server } from '#web/server.ts';
import { bodyRows } from '#web/session/body-rows.ts';
import { Legend } from '#web/session/legend.tsx';
import { StaticTrace } from '#web/session/static-trace.tsx';

const SHOWN_US = 30_000_000;
/** The most that the server gives at once: half a minute of a 330 Hz sensor. */
const PAGE_READINGS = 10_000;
/** Half a minute of a 2.6 kHz sensor; what is above is cut at the end. */
const MAX_PAGES = 8;

export function RecordedSession({ detail }: { detail: SessionDetail }) {
  const rows = bodyRows(detail.streams);
  const panels = Math.max(1, ...detail.streams.map(({ definition }) => groupAxes(definition.axes).length));
  const isAlone = rows.every((row) => row.length === 1);
  return (
    <>
      <p className="muted recorded-note">Up to 30 seconds of each stream, as stored.</p>
      <div className="traces" style={{ '--rows': rows.length, '--panels': panels } as CSSProperties}>
        {rows.flat().map(({ stream, side }) => (
          <RecordedStream
            key={stream.definition.stream}
            stream={stream}
            side={isAlone ? 'centre' : side}
            endUs={Date.parse(detail.session.endedAt ?? detail.session.startedAt) * 1000}
          />
        ))}
      </div>
    </>
  );
}

interface Excerpt {
  readonly page: ReadingPage;
  readonly isEnd: boolean;
}

/** How much of the recording is drawn, and how far its grid lines are apart. */
function spanWords({ page, isEnd }: Excerpt): string {
  const fromUs = page.rows[0]?.[0];
  const toUs = page.rows.at(-1)?.[0];
  if (fromUs === undefined || fromUs === null || toUs === undefined || toUs === null) return '';
  const seconds = (toUs - fromUs) / 1e6;
  return `${isEnd ? 'last' : 'first'} ${formatSeconds(seconds)}, grid ${gridSeconds(seconds)}\u202fs`;
}

/** The readings around the end of the session, or where there are none, the first ones. */
async function fetchExcerpt(stream: string, endUs: number, signal: AbortSignal): Promise<Excerpt> {
  const last = await fetchRange(stream, { fromUs: endUs - SHOWN_US, toUs: endUs + SHOWN_US }, signal);
  if (last.rows.length > 0) return { page: last, isEnd: true };
  const first = await server.readings(
    { streamId: stream, fromUs: null, toUs: null, limit: 1, cursor: null },
    signal,
  );
  const startUs = first.rows[0]?.[0];
  if (startUs === undefined || startUs === null) return { page: first, isEnd: false };
  const range = { fromUs: startUs, toUs: startUs + SHOWN_US };
  return { page: await fetchRange(stream, range, signal), isEnd: false };
}

async function fetchRange(
  streamId: string,
  range: { fromUs: number; toUs: number },
  signal: AbortSignal,
): Promise<ReadingPage> {
  let page = await server.readings({ streamId, ...range, limit: PAGE_READINGS, cursor: null }, signal);
  const rows = [...page.rows];
  const runs = [...page.runs];
  for (let i = 1; i < MAX_PAGES && page.next !== null; i++) {
    page = await server.readings({ streamId, ...range, limit: PAGE_READINGS, cursor: page.next }, signal);
    rows.push(...page.rows);
    runs.push(...page.runs);
  }
  return { ...page, rows, runs };
}

function RecordedStream({
  stream,
  side,
  endUs,
}: {
  stream: StreamDetail;
  side: 'left' | 'right' | 'centre';
  endUs: number;
}) {
  const { definition, epochs } = stream;
  const excerpt = useQuery({
    queryKey: ['excerpt', definition.stream, endUs],
    queryFn: ({ signal }) => fetchExcerpt(definition.stream, endUs, signal),
    // What is stored of an ended session may still grow by late readings, but not within a look at it.
    staleTime: Number.POSITIVE_INFINITY,
  });
  const scheme = useComputedColorScheme('dark', { getInitialValueInEffect: false });
  const groups = groupAxes(definition.axes);
  const name = formatSegment(definition.segment);
  const stored = epochs.reduce((total, epoch) => total + epoch.stored, 0);
  const lost = epochs.reduce(
    (total, epoch) => total + epoch.lost.reduce((sum, [from, to]) => sum + to - from, 0),
    0,
  );
  return (
    <section
      className="trace-card"
      data-side={side}
      aria-label={name}
      style={{ '--own-panels': groups.length } as CSSProperties}
    >
      <header className="trace-head">
        <h2 className="trace-name" data-side={side}>
          {name}
        </h2>
        <span className="muted small">{excerpt.data === undefined ? '' : spanWords(excerpt.data)}</span>
        <span className="shell-space" />
        <span className="muted small">{formatCount(stored)} readings stored</span>
        {lost > 0 && <span className="needs-attention small">{formatCount(lost)} lost</span>}
      </header>
      <div className="trace-body">
        {excerpt.isError && (
          <p className="trace-problem needs-action">{describeProblem(excerpt.error).title}</p>
        )}
        {excerpt.data !== undefined && excerpt.data.page.rows.length === 0 && (
          <p className="trace-problem muted">Nothing was stored of this stream.</p>
        )}
        {excerpt.data !== undefined && excerpt.data.page.rows.length > 0 && (
          <StaticTrace stream={stream} name={name} page={excerpt.data.page} scheme={scheme} />
        )}
        <div className="legends" aria-hidden="true">
          {groups.map((group) => (
            <Legend key={`${group.title} ${group.unit}`} {...{ group, side, scheme }} latest={null} />
          ))}
        </div>
      </div>
    </section>
  );
}
