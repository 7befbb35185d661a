/** Owns how a moment reads on a page: local time, with UTC on hover, and a dash where there is none. */

import { useState } from 'react';

import { DASH, formatLocal, formatUtc } from '#web/format.ts';

export function Instant({ at }: { readonly at: string | null }) {
  // Times of other days have their date.
  const [today] = useState(() => new Date());
  if (at === null) return <span className="muted">{DASH}</span>;
  const instant = new Date(at);
  return (
    <time dateTime={at} title={formatUtc(instant)} className="nowrap">
      {formatLocal(instant, today)}
    </time>
  );
}
