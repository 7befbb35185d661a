/** Owns the live view of a session: health, controls, traces and numbers. The drawing itself is the worker's. */

import { useComputedColorScheme } from '@mantine/core';
import { useEffect, useMemo, useState, type CSSProperties } from 'react';

import type { SessionDetail } from '#contract/rest.ts';
import { formatSegment } from '#web/format.ts';
import { groupAxes } from '#web/live/axis-groups.ts';
import { canDrawLive } from '#web/live/live-controller.ts';
import { MAX_STREAMS } from '#web/live/live-limits.ts';
import type { LiveReport } from '#web/live/worker-messages.ts';
import { MotionPanel } from '#web/motion/motion-panel.tsx';
import { bodyRows } from '#web/session/body-rows.ts';
import { HealthLine } from '#web/session/health-line.tsx';
import { healthOf } from '#web/session/health.ts';
import { NumbersTable } from '#web/session/numbers-table.tsx';
import { SessionHead } from '#web/session/session-head.tsx';
import { StreamCard } from '#web/session/stream-card.tsx';
import { useLiveController } from '#web/session/live-controller-hook.ts';
import { useSessionKeys } from '#web/session/session-keys.ts';
import { ViewControls } from '#web/session/view-controls.tsx';
import { VisitBar } from '#web/visit/visit-bar.tsx';
import { DEFAULT_WINDOW, stepWindow, type ViewSearch } from '#web/session/view-search.ts';

export interface LiveSessionProps {
  readonly detail: SessionDetail;
  /** When `detail` was asked for. */
  readonly nowMs: number;
  readonly isStale: boolean;
  readonly search: ViewSearch;
  readonly setSearch: (change: Partial<ViewSearch>) => void;
  readonly refresh: () => void;
}

export function LiveSession(props: LiveSessionProps) {
  const { detail, nowMs, isStale, search, setSearch, refresh } = props;
  const { controller, report } = useLiveController(detail.session.id, refresh);
  const [frozen, setFrozen] = useState(false);
  const [helpOpen, setHelpOpen] = useState(false);
  const scheme = useComputedColorScheme('dark', { getInitialValueInEffect: false });
  const seconds = search.window ?? DEFAULT_WINDOW;
  const rows = useMemo(() => bodyRows(detail.streams.slice(0, MAX_STREAMS)), [detail.streams]);
  const ordered = rows.flat().map((cell) => cell.stream);

  useEffect(() => controller?.setStreams(detail.streams), [controller, detail.streams]);
  useEffect(
    () => controller?.setView({ windowMs: seconds * 1000, scheme, frozen }),
    [controller, seconds, scheme, frozen],
  );
  const select = (stream: string): void => setSearch({ stream });
  const step = (by: 1 | -1): void => {
    const at = ordered.findIndex(({ definition }) => definition.stream === search.stream);
    const next = ordered[at < 0 ? 0 : Math.min(ordered.length - 1, Math.max(0, at + by))];
    if (next !== undefined) select(next.definition.stream);
  };
  useSessionKeys({
    freeze: () => setFrozen((was) => !was),
    step,
    window: (by) => setSearch({ window: stepWindow(seconds, by) }),
    help: () => setHelpOpen((was) => !was),
  });

  const nameOf = (stream: string): string => {
    const found = detail.streams.find(({ definition }) => definition.stream === stream);
    return found === undefined ? 'A' : formatSegment(found.definition.segment);
  };
  if (!canDrawLive()) return <CannotDraw />;
  const reports = new Map(report?.streams.map((stream) => [stream.stream, stream]));
  const panels = Math.max(1, ...ordered.map(({ definition }) => groupAxes(definition.axes).length));
  return (
    <>
      <SessionHead session={detail.session} nowMs={nowMs} isStale={isStale || isCutOff(report)}>
        <ViewControls
          seconds={seconds}
          setSeconds={(window) => setSearch({ window })}
          frozen={frozen}
          setFrozen={setFrozen}
          helpOpen={helpOpen}
          setHelpOpen={setHelpOpen}
          review={() => setSearch({ view: 'stored' })}
        />
      </SessionHead>
      <VisitBar session={detail.session.id} />
      <HealthLine health={healthOf(report, { nameOf, isFrozen: frozen })} report={report} />
      {detail.streams.length === 0 && (
        <p className="muted">No stream yet. It appears here when a device opens one.</p>
      )}
      {detail.streams.length > 0 && (
        <MotionPanel detail={detail} isFrozen={frozen} search={search} setSearch={setSearch} />
      )}
      <div
        className="traces"
        data-frozen={frozen}
        style={{ '--rows': rows.length, '--panels': panels } as CSSProperties}
      >
        {rows.flatMap((row) =>
          row.map(({ stream, side }) => (
            <StreamCard
              key={stream.definition.stream}
              stream={stream}
              side={row.length === 1 && side === 'centre' ? 'centre' : side}
              isAlone={rows.every((other) => other.length === 1)}
              report={reports.get(stream.definition.stream)}
              isCutOff={isCutOff(report)}
              controller={controller}
              scheme={scheme}
              isSelected={search.stream === stream.definition.stream}
              select={select}
            />
          )),
        )}
      </div>
      {detail.streams.length > MAX_STREAMS && (
        <p className="muted">
          The first {MAX_STREAMS} of {detail.streams.length} streams are drawn; all are recorded.
        </p>
      )}
      {ordered.length > 0 && <NumbersTable streams={ordered} reports={reports} selected={search.stream} />}
    </>
  );
}

/** Whether the page had a connection and has none now. */
function isCutOff(report: LiveReport | null): boolean {
  return report !== null && report.connection.name !== 'open' && report.connection.name !== 'connecting';
}

function CannotDraw() {
  return (
    <div className="statement" role="alert">
      <h2>This browser cannot draw live signals</h2>
      <p>
        It lacks drawing in the background (OffscreenCanvas). Chrome and Edge 69, Firefox 105 and Safari 17 or
        newer have it.
      </p>
      <p>The session is recorded all the same.</p>
    </div>
  );
}
