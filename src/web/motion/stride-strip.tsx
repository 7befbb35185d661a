/** Owns the strip of the newest strides, the last one at the right: side, time, length, turns marked. */

import { formatSegment } from '#web/format.ts';
import { isCommitted, turnDuring, type GaitFeed } from '#web/motion/gait-feed.ts';
import { strideFigure, strideRemark } from '#web/motion/stride-words.ts';

/** As many as a wide screen has room for. */
const SHOWN = 14;

export function StrideStrip({ feed }: { feed: GaitFeed }) {
  const strides = feed.strides.slice(-SHOWN).toReversed();
  return (
    <ol className="stride-strip" aria-label="Newest strides">
      {strides.map((stride) => {
        const isStored = isCommitted(feed.committed, stride.endUs - 1);
        return (
          <li key={`${stride.side} ${stride.startUs}`} data-side={stride.side} data-committed={isStored}>
            <span className="side-mark" data-side={stride.side}>
              {formatSegment(stride.side)}
            </span>
            <span className="stride-remark small muted">
              {strideRemark(stride, turnDuring(feed.turns, stride))}
            </span>
            <span>{strideFigure(stride, 'strideTimeS')}</span>
            <span>{strideFigure(stride, 'strideLengthM')}</span>
          </li>
        );
      })}
      {strides.length === 0 && <li className="stride-none muted">No stride yet</li>}
    </ol>
  );
}
