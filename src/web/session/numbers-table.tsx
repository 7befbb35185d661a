/** Owns the numbers of a live session: per stream rate, loss, gaps and jitter, and the latency of what is on the screen. */

import type { StreamDetail } from '#contract/rest.ts';
import { DASH, formatCount, formatMs, formatRate, formatSegment } from '#web/format.ts';
import { latencyParts, type LatencyPart, type Quantiles } from '#web/live/latency-window.ts';
import type { StreamReport } from '#web/live/worker-messages.ts';

const partTitles: Readonly<Record<LatencyPart, readonly [title: string, meaning: string]>> = {
  batching: ['Device', 'From sampling the oldest reading of a frame until the device sent it'],
  network: ['Network', 'From sending to arrival at the server; needs the measured clock of the device'],
  server: ['Server', 'From arrival to publishing'],
  delivery: [
    'To browser',
    'From publishing to receipt in this browser; needs the probed clock of the server',
  ],
  paint: ['Screen', 'From receipt until its turn in the sweep, drawn'],
};

export interface NumbersTableProps {
  readonly streams: readonly StreamDetail[];
  readonly reports: ReadonlyMap<string, StreamReport>;
  readonly selected: string | undefined;
}

export function NumbersTable({ streams, reports, selected }: NumbersTableProps) {
  return (
    <section className="numbers">
      <h2 id="numbers-title">Numbers</h2>
      {/* A region that scrolls must be reachable by keyboard (axe: scrollable-region-focusable). */}
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <div className="numbers-scroll" role="region" aria-labelledby="numbers-title" tabIndex={0}>
        <table>
          {/* Fixed widths: columns stay where they are while the figures change. */}
          <colgroup>
            <col className="name-column" />
            <col span={4} className="figure-column" />
            <col span={latencyParts.length + 1} className="latency-column" />
          </colgroup>
          <thead>
            <tr>
              <th scope="colgroup" colSpan={5}>
                As it arrives
              </th>
              <th scope="colgroup" colSpan={latencyParts.length + 1} className="numbers-group">
                Latency of what is on the screen, last 10 s: median, and 99 of 100 below
              </th>
            </tr>
            <tr>
              <th scope="col">Stream</th>
              <th scope="col" title="Readings a second as they arrive at the server">
                Rate
              </th>
              <th scope="col" title="Declared lost by the device: these readings will never come">
                Lost
              </th>
              <th
                scope="col"
                title="Missing so far, below the newest stored reading; the device may still send them"
              >
                Missing
              </th>
              <th scope="col" title="Of arrival at the server, by RFC 3550">
                Jitter
              </th>
              {latencyParts.map((part) => (
                <th
                  key={part}
                  scope="col"
                  title={partTitles[part][1]}
                  className={part === 'batching' ? 'first-part' : ''}
                >
                  {partTitles[part][0]}
                </th>
              ))}
              <th scope="col">In all</th>
            </tr>
          </thead>
          <tbody>
            {streams.map(({ definition, epochs }) => (
              <tr key={definition.stream} data-selected={selected === definition.stream}>
                <th scope="row">{formatSegment(definition.segment)}</th>
                <NumbersCells report={reports.get(definition.stream)} epochs={epochs} />
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function NumbersCells({
  report,
  epochs,
}: {
  report: StreamReport | undefined;
  epochs: StreamDetail['epochs'];
}) {
  // The live channel tells first; before it has, the stored summary stands in.
  const lost = report?.lost ?? sum(epochs.flatMap((epoch) => epoch.lost));
  const missing = report?.pending ?? sum(epochs.flatMap((epoch) => epoch.pending));
  return (
    <>
      <td>{formatRate(report?.rate ?? null)}</td>
      <td className={lost > 0 ? 'needs-attention' : ''}>{formatCount(lost)}</td>
      <td className={missing > 0 ? 'needs-attention' : ''}>{formatCount(missing)}</td>
      <td>{formatMs(report?.jitterMs ?? null)}</td>
      {latencyParts.map((part) => (
        <LatencyCell key={part} quantiles={report?.latency[part] ?? null} isFirst={part === 'batching'} />
      ))}
      <LatencyCell quantiles={report?.latency.total ?? null} isFirst={false} />
    </>
  );
}

function LatencyCell({ quantiles, isFirst }: { quantiles: Quantiles | null; isFirst: boolean }) {
  return (
    <td className={isFirst ? 'first-part' : ''}>
      {quantiles === null ? (
        DASH
      ) : (
        <>
          {formatMs(quantiles.p50)} <span className="muted small">{formatMs(quantiles.p99)}</span>
        </>
      )}
    </td>
  );
}

function sum(ranges: readonly (readonly [number, number])[]): number {
  return ranges.reduce((total, [from, to]) => total + (to - from), 0);
}
