/** Owns the life cycle of a session in one line: planned, recording, ended, signed off; which it is, and when it was. */

import type { SessionSummary } from '#contract/rest.ts';
import { Instant } from '#web/list/instant.tsx';

interface Step {
  readonly words: string;
  readonly at: string | null;
}

/** How many steps are behind or under way. */
const reached: Readonly<Record<SessionSummary['state'], number>> = {
  planned: 1,
  live: 2,
  idle: 2,
  ended: 3,
  sealed: 4,
};

export function VisitSteps({ session }: { session: SessionSummary }) {
  const { state, plannedFor, startedAt, endedAt, sealedAt, amended } = session;
  const steps: readonly Step[] = [
    { words: 'Planned', at: plannedFor },
    { words: state === 'idle' ? 'Quiet' : 'Recording', at: state === 'planned' ? null : startedAt },
    { words: amended && state === 'ended' ? 'Ended, amended' : 'Ended', at: endedAt },
    { words: amended && state === 'sealed' ? 'Signed off, amended' : 'Signed off', at: sealedAt },
  ];
  const current = reached[state] - 1;
  return (
    <ol className="visit-steps" aria-label="Life of the session">
      {steps.map(({ words, at }, i) => (
        <li
          key={words}
          data-state={i < current ? 'past' : i === current ? 'now' : 'ahead'}
          aria-current={i === current ? 'step' : undefined}
        >
          <span>{words}</span>
          {at !== null && i <= current && (
            <span className="muted small">
              <Instant at={at} />
            </span>
          )}
        </li>
      ))}
    </ol>
  );
}
