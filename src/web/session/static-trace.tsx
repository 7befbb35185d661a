/** Owns the picture of stored readings: the live view's painter over a fixed stretch of time, drawn once. */

import { useEffect, useRef } from 'react';

import type { ReadingPage, StreamDetail } from '#contract/rest.ts';
import { formatCount } from '#web/format.ts';
import { palettes } from '#web/live/palette.ts';
import { createScaleBook } from '#web/live/scale-book.ts';
import { createStreamTrace, takeEpochs, type StreamTrace } from '#web/live/stream-trace.ts';
import { createTracePainter } from '#web/live/trace-painter.ts';

export interface StaticTraceProps {
  readonly stream: StreamDetail;
  readonly name: string;
  readonly page: ReadingPage;
  readonly scheme: 'dark' | 'light';
}

/** A shorter recording is drawn in this width of time. */
const MIN_WINDOW_MS = 1000;

export function StaticTrace({ stream, name, page, scheme }: StaticTraceProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const element = canvas.current;
    const context = element?.getContext('2d', { alpha: false });
    if (element === null || context === null || context === undefined) return;
    const trace = traceOf(stream, page);
    const lastMs = trace.ring.timeOf(trace.ring.end - 1);
    const painter = createTracePainter(
      context,
      { trace, scales: createScaleBook() },
      { windowMs: Math.max(MIN_WINDOW_MS, lastMs), palette: palettes[scheme], hasEraseBar: false },
    );
    const draw = (): void => {
      const box = element.getBoundingClientRect();
      const scale = window.devicePixelRatio;
      painter.resize({
        width: Math.max(1, Math.round(box.width * scale)),
        height: Math.max(1, Math.round(box.height * scale)),
        scale,
      });
      painter.paint({
        headMs: Math.max(MIN_WINDOW_MS, lastMs) - 1e-6,
        isOffline: () => false,
        silentSinceMs: null,
      });
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
function traceOf({ definition, epochs }: StreamDetail, page: ReadingPage): StreamTrace {
  const startUs = page.rows[0]?.[0] ?? 0;
  const trace = createStreamTrace(definition, startUs);
  const { ring, settlement } = trace;
  takeEpochs(trace, epochs);
  let row = 0;
  for (const { epoch, firstSeq, count } of page.runs) {
    const { base } = settlement.segmentFor(epoch, firstSeq, ring.end);
    for (let i = 0; i < count; i++, row++) {
      const [timeUs, ...values] = page.rows[row] ?? [];
      const slot = ring.claim(base + firstSeq + i, ((timeUs ?? startUs) - startUs) / 1000);
      if (slot >= 0) values.forEach((value, axis) => (ring.values[axis]![slot] = value ?? Number.NaN));
    }
  }
  // Only what is here counts as stored: a hole between is lost, or was never sent.
  for (const epoch of new Set(page.runs.map((run) => run.epoch))) {
    const ranges = page.runs
      .filter((run) => run.epoch === epoch)
      .map(({ firstSeq, count }): [number, number] => [firstSeq, firstSeq + count]);
    settlement.takeProgress({ stream: definition.stream, epoch, next: 0, ranges, lost: 0 });
  }
  return trace;
}
