/** Owns the moving traces of live angles: a canvas that is drawn at every frame, with legends that say what is what. */

import { useEffect, useRef } from 'react';

import { formatFixed } from '#web/motion/metric-rows.ts';
import { DASH } from '#web/format.ts';
import { palettes } from '#web/live/palette.ts';
import { advanceHead } from '#web/live/sweep.ts';
import type { AngleCurve, AngleGroup } from '#web/motion/angle-groups.ts';
import { createAnglePainter, type AnglePainter } from '#web/motion/angle-painter.ts';
import type { CommittedSpan } from '#web/motion/gait-feed.ts';
import type { AngleSource } from '#web/motion/live-angles-hook.ts';
import { useCanvasSize } from '#web/review/canvas-size.ts';

export interface AngleSweepProps {
  readonly source: AngleSource;
  /** Null while it is not known which angles there are. */
  readonly group: AngleGroup | null;
  readonly latest: readonly (number | null)[];
  readonly committed: readonly CommittedSpan[];
  readonly windowMs: number;
  readonly isFrozen: boolean;
  readonly scheme: 'dark' | 'light';
}

export function AngleSweep(props: AngleSweepProps) {
  const { group, latest } = props;
  const canvas = useRef<HTMLCanvasElement>(null);
  useSweep(canvas, props);
  const what = group?.label.toLowerCase() ?? 'none yet';
  return (
    <div className="motion-angles">
      <div
        className="trace-host"
        role="img"
        aria-label={`Live angles (${what}). The newest follow as a table.`}
      >
        <canvas ref={canvas} className="trace-canvas" />
      </div>
      <div className="legends" aria-hidden="true">
        {group?.curves.map((curve) => (
          <AngleLegend key={curve.key} curve={curve} latest={latest} />
        ))}
      </div>
      {group === null && <p className="motion-nothing muted">No angles yet</p>}
      {group !== null && <LatestAngles curves={group.curves} latest={latest} />}
    </div>
  );
}

const sideLetters = { left: 'L', right: 'R', centre: '' } as const;
const sideWords = { left: 'Left', right: 'Right', centre: 'Both' } as const;

export function degrees(value: number | null | undefined): string {
  return value === null || value === undefined || !Number.isFinite(value)
    ? DASH
    : `${formatFixed(value, 0)}°`;
}

function AngleLegend({ curve, latest }: { curve: AngleCurve; latest: readonly (number | null)[] }) {
  return (
    <div className="legend">
      <span className="legend-title">{curve.label}</span>
      <span className="shell-space" />
      {curve.lines.map(({ side, column }) => (
        <span key={column} className="legend-axis side-mark" data-side={side}>
          {sideLetters[side]}
          <span className="motion-degrees">{degrees(latest[column])}</span>
        </span>
      ))}
    </div>
  );
}

/** The picture as text, for who does not see it. */
function LatestAngles({
  curves,
  latest,
}: {
  curves: readonly AngleCurve[];
  latest: readonly (number | null)[];
}) {
  return (
    <table className="unseen">
      <caption>Newest angles, in degrees</caption>
      <tbody>
        {curves.flatMap((curve) =>
          curve.lines.map(({ side, column }) => (
            <tr key={column}>
              <th scope="row">
                {curve.label}, {sideWords[side].toLowerCase()}
              </th>
              <td>{degrees(latest[column])}</td>
            </tr>
          )),
        )}
      </tbody>
    </table>
  );
}

const noCurves: readonly AngleCurve[] = [];

function useSweep(canvas: React.RefObject<HTMLCanvasElement | null>, props: AngleSweepProps): void {
  const { source, group, committed, windowMs, isFrozen, scheme } = props;
  const painter = useRef<AnglePainter | null>(null);
  const head = useRef<number | null>(null);
  const curves = group?.curves ?? noCurves;
  // The same curves in a new object are no reason to draw all anew.
  const key = JSON.stringify(curves);
  const view = useRef({ windowMs, palette: palettes[scheme], curves });
  useEffect(() => {
    view.current = { windowMs, palette: palettes[scheme], curves };
    painter.current?.setView(view.current);
    if (head.current !== null) painter.current?.paint(source.trace.ring, head.current, null);
    // oxlint-disable-next-line react-hooks/exhaustive-deps -- `key` stands for the curves
  }, [windowMs, scheme, key]);
  useEffect(() => painter.current?.setCommitted(committed), [committed]);
  useCanvasSize(canvas, (element, size) => {
    const context = element.getContext('2d', { alpha: false });
    if (context === null) return;
    painter.current ??= createAnglePainter(context, view.current);
    painter.current.resize(size);
    painter.current.paint(source.trace.ring, head.current ?? 0, null);
  });
  useEffect(() => {
    if (isFrozen) return;
    const { trace } = source;
    let { generation } = trace;
    let fromMs: number | null = null;
    let drawnMs = performance.now();
    let frame = 0;
    const endRows = source.onRows((at) => {
      fromMs = Math.min(fromMs ?? at, at);
    });
    const draw = (nowMs: number): void => {
      frame = requestAnimationFrame(draw);
      const targetMs = trace.targetMs(nowMs);
      if (targetMs === null || painter.current === null) return;
      if (trace.generation !== generation) {
        ({ generation } = trace);
        head.current = null;
        painter.current.invalidate();
      }
      const elapsedMs = Math.max(0, nowMs - drawnMs);
      drawnMs = nowMs;
      head.current = head.current === null ? targetMs : advanceHead(head.current, targetMs, elapsedMs);
      painter.current.paint(trace.ring, head.current, fromMs);
      fromMs = null;
    };
    frame = requestAnimationFrame(draw);
    return () => {
      cancelAnimationFrame(frame);
      endRows();
    };
  }, [source, isFrozen]);
}
