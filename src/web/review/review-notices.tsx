/** Owns what must be known of a recording before one trusts its picture. Notices keep their places: nothing moves. */

import type { SessionDetail } from '#contract/rest.ts';
import { describeProblem } from '#web/page-states.tsx';
import type { ReviewModel } from '#web/review/review-model.ts';
import { useReviewState } from '#web/review/review-state.ts';

export function ReviewNotices({ model, detail }: { model: ReviewModel; detail: SessionDetail }) {
  const error = useReviewState(model, (state) => state.error);
  const isRawDropped = useReviewState(model, (state) => state.isRawDropped);
  const isEmpty = useReviewState(model, (state) => state.isEmpty);
  const hasData = useReviewState(model, (state) => state.whole !== null);
  const isGoingOn = detail.session.state === 'live' || detail.session.state === 'idle';
  return (
    <>
      {isEmpty && (
        <div className="notice" role="status">
          <strong>Nothing is stored of this session.</strong>
          <span>
            {isGoingOn
              ? 'It appears here as soon as a device has sent something.'
              : 'No reading arrived before it ended.'}
          </span>
        </div>
      )}
      {error !== null && (
        <div className="notice" role="status">
          <strong>{describeProblem(error).title}.</strong>
          <span>
            {hasData
              ? 'What is drawn may be coarser than it could be.'
              : 'The recording is not on the screen yet.'}{' '}
            {describeProblem(error).next}
          </span>
        </div>
      )}
      {isRawDropped && (
        <div className="notice" role="status">
          <strong>Single readings of this range are no longer kept.</strong>
          <span>Lowest, highest and mean of each second or longer are, and are shown.</span>
        </div>
      )}
    </>
  );
}
