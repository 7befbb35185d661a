/** Owns how React follows the model: a component renders anew only when what it picked has changed. */

import { useSyncExternalStore } from 'react';

import type { ReviewModel, ReviewState } from '#web/review/review-model.ts';

/** `pick` gives the same object or a primitive while nothing of it changed. */
export function useReviewState<T>(model: ReviewModel, pick: (state: ReviewState) => T): T {
  return useSyncExternalStore(model.subscribe, () => pick(model.state));
}
