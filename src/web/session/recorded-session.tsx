/**
 * Owns the view of a session that has ended: how much was stored and lost, and the traces of its last seconds. Where
 * the device's clock does not agree with the server's, its first seconds are shown instead, and the page says so.
 */

import { useComputedColorScheme } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useRef, type CSSProperties } from 'react';

import type { ReadingPage, SessionDetail, StreamDetail } from '#contract/rest.ts';
import { formatCount, formatSegment, formatUnit } from '#web/format.ts';
import { groupAxes } from '#web/live/axis-groups.ts';
import { palettes } from '#web/live/palette.ts';
import { createStreamTrace, type StreamTrace } from '#web/live/stream-trace.ts';
import { createTracePainter } from '#web/live/trace-painter.ts';
import { describeProblem } from '#web/page-states.tsx';
import { server } from '#web/server.ts';
import { bodyRows } from '#web/session/body-rows.ts';
import { LineSample } from '#web/session/line-sample.tsx';

const SHOWN_US = 30_000_000;
/** Ten seconds at 200 Hz a page; what is above MAX_PAGES (a sensor over 1 kHz) is cut at the end. */
const PAGE_READINGS = 2_000;
const MAX_PAGES = 16;

export function RecordedSession({ detail }: { detail: SessionDetail }) {
  const rows = bodyRows(detail.streams);
  const panels = Math.max(1, ...detail.streams.map(({ definition }) => groupAxes(definition.axes).length));
  const isAlone = rows.every((row) => row.length === 1);
  return (
    <>
      <p className="muted recorded-note">
        Up to 30 seconds of each stream, as stored; one grid line every 5 seconds.
      </p>
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

async function fetchExcerpt(stream: string, endUs: number, signal: AbortSignal): Promise<Excerpt> {
  const last = await fetchRange(stream, { fromUs: endUs - SHOWN_US, toUs: endUs + SHOWN_US }, signal);
  if (last.rows.length > 0) return { page: last, isEnd: true };
  const first = await server.readings(
    { streamId: stream, fromUs: 0, toUs: Number.MAX_SAFE_INTEGER, limit: 1 },
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
  let page = await server.readings({ streamId, ...range, limit: PAGE_READINGS }, signal);
  const rows = [...page.rows];
  for (let i = 1; i < MAX_PAGES && page.nextFromUs !== null; i++) {
    page = await server.readings(
      { streamId, fromUs: page.nextFromUs, toUs: range.toUs, limit: PAGE_READINGS },
      signal,
    );
    rows.push(...page.rows);
  }
  return { ...page, rows };
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
        <span className="muted small">
          {excerpt.data === undefined ? '' : excerpt.data.isEnd ? 'last 30 s' : 'first 30 s'}
        </span>
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
            <div className="legend" key={`${group.title} ${group.unit}`}>
              <span className="legend-title">{group.title}</span>
              <span className="muted">{formatUnit(group.unit)}</span>
              <span className="shell-space" />
              {group.axes.map(({ axis, label, style }) => (
                <span key={axis} className="legend-axis">
                  <LineSample side={side} style={style} scheme={scheme} />
                  {label}
                </span>
              ))}
            </div>
          ))}
        </div>
      </div>
    </section>
  );
}

/** The same painter as the live view's, over a fixed stretch of time. */
function StaticTrace({
  stream,
  name,
  page,
  scheme,
}: {
  stream: StreamDetail;
  name: string;
  page: ReadingPage;
  scheme: 'dark' | 'light';
}) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const element = canvas.current;
    const context = element?.getContext('2d', { alpha: false });
    if (element === null || context === null || context === undefined) return;
    const trace = traceOf(stream, page);
    const lastMs = trace.ring.timeOf(trace.ring.end - 1);
    const painter = createTracePainter(
      context,
      { trace, groups: groupAxes(stream.definition.axes) },
      { windowMs: Math.max(1000, lastMs), palette: palettes[scheme], hasEraseBar: false },
    );
    const draw = (): void => {
      const box = element.getBoundingClientRect();
      const scale = window.devicePixelRatio;
      painter.resize({
        width: Math.max(1, Math.round(box.width * scale)),
        height: Math.max(1, Math.round(box.height * scale)),
        scale,
      });
      painter.paint({ headMs: Math.max(1000, lastMs) - 1e-6, isOffline: () => false, silentSinceMs: null });
    };
    const resizes = new ResizeObserver(draw);
    resizes.observe(element);
    return () => resizes.disconnect();
  }, [stream, page, scheme]);
  return (
    <div
      className="trace-host"
      role="img"
      aria-label={`${name}: ${formatCount(page.rows.length)} stored readings as traces`}
    >
      <canvas ref={canvas} className="trace-canvas" />
    </div>
  );
}

/** Stored rows as a trace that begins at time zero; all of it is settled. */
function traceOf({ definition }: StreamDetail, page: ReadingPage): StreamTrace {
  const startUs = page.rows[0]?.[0] ?? 0;
  const trace = createStreamTrace({ ...definition, rateHz: Math.max(definition.rateHz, 1) }, startUs);
  trace.settlement.segmentFor('stored', 0, 0);
  trace.settlement.takeProgress({
    stream: definition.stream,
    epoch: 'stored',
    next: page.rows.length,
    ranges: [],
    lost: 0,
  });
  page.rows.forEach(([timeUs, ...values], i) => {
    const slot = trace.ring.claim(i, ((timeUs ?? startUs) - startUs) / 1000);
    if (slot < 0) return;
    values.forEach((value, axis) => (trace.ring.values[axis]![slot] = value ?? Number.NaN));
  });
  return trace;
}
