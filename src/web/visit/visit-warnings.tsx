/** Owns what a person should look at before or while recording: in words, with the session that it is about. */

import { Link } from '@tanstack/react-router';

import type { VisitWarning } from '#contract/visit.ts';
import { formatSegment } from '#web/format.ts';

export function VisitWarnings({ warnings }: { warnings: readonly VisitWarning[] }) {
  if (warnings.length === 0) return null;
  return (
    <div className="visit-warnings" role="status" aria-label="To look at">
      <ul>
        {warnings.map(({ code, message, deviceId, segment, sessionId }) => (
          <li key={`${code} ${deviceId} ${segment} ${sessionId}`} data-code={code}>
            {segment !== null && `${formatSegment(segment)}: `}
            {sentence(message)}{' '}
            {sessionId !== null && (
              <Link to="/sessions/$id" params={{ id: sessionId }}>
                The other session
              </Link>
            )}
          </li>
        ))}
      </ul>
    </div>
  );
}

function sentence(words: string): string {
  const text = words.charAt(0).toUpperCase() + words.slice(1);
  return text.endsWith('.') ? text : `${text}.`;
}
