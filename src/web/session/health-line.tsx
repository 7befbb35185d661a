/** Owns the line that tells at a glance whether what is seen is true, and the figures that prove it. */

import { DASH, formatCount, formatMs } from '#web/format.ts';
import type { LiveReport } from '#web/live/worker-messages.ts';
import type { Health } from '#web/session/health.ts';

export interface HealthLineProps {
  readonly health: Health;
  readonly report: LiveReport | null;
}

export function HealthLine({ health, report }: HealthLineProps) {
  return (
    <section
      className="health"
      data-tone={health.concern === undefined ? health.tone : 'concern'}
      aria-label="Health of this view"
    >
      <p className="health-sentence">
        {health.sentence}
        {health.concern !== undefined && <span className="needs-attention"> {health.concern}</span>}
      </p>
      <p className="unseen" role="status">
        {health.announcement}
      </p>
      <dl className="health-figures">
        <div>
          <dt>Frames drawn</dt>
          <dd>{report === null || report.fps === 0 ? DASH : `${report.fps}\u202f/s`}</dd>
        </div>
        <div>
          <dt>Sweep behind</dt>
          <dd>{report === null ? DASH : formatMs(report.delayMs)}</dd>
        </div>
        <div>
          <dt>Updates skipped</dt>
          <dd title="Left out for this page when it is slow; the recording has them">
            {report === null ? DASH : formatCount(report.skippedTicks)}
          </dd>
        </div>
      </dl>
    </section>
  );
}
