/** Owns the buttons of the review page; each has a key. */

import { Button } from '@mantine/core';

import type { ReviewActions } from '#web/review/review-actions.ts';
import type { ReviewModel } from '#web/review/review-model.ts';
import { useReviewState } from '#web/review/review-state.ts';

export interface ReviewControlsProps {
  readonly model: ReviewModel;
  readonly actions: ReviewActions;
  readonly openExport: () => void;
  readonly openHelp: () => void;
  /** Back to the live view of a session that goes on; null for one that has ended. */
  readonly goLive: (() => void) | null;
}

export function ReviewControls(props: ReviewControlsProps) {
  const { model, actions, openExport, openHelp, goLive } = props;
  const isFitted = useReviewState(model, (state) => state.isFitted);
  return (
    <div className="controls review-controls">
      <Button.Group>
        <Button
          variant="default"
          size="xs"
          aria-label="Zoom out"
          title={'Zoom out (\u2212)'}
          onClick={actions.zoomOut}
        >
          {'\u2212'}
        </Button>
        <Button variant="default" size="xs" aria-label="Zoom in" title="Zoom in (+)" onClick={actions.zoomIn}>
          +
        </Button>
      </Button.Group>
      <Button variant="default" size="xs" title="The whole recording (0)" onClick={actions.whole}>
        Whole
      </Button>
      <Button
        variant="default"
        size="xs"
        aria-pressed={isFitted}
        title="Scale to what is shown, not to the whole recording (F)"
        onClick={actions.fit}
      >
        Fit scale
      </Button>
      <Button variant="default" size="xs" onClick={openExport}>
        Export
      </Button>
      <Button variant="default" size="xs" title="Keys and gestures (?)" onClick={openHelp}>
        Help
      </Button>
      {goLive !== null && (
        <Button variant="default" size="xs" onClick={goLive}>
          Live
        </Button>
      )}
    </div>
  );
}
