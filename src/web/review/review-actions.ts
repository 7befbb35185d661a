/** Owns what buttons, keys and gestures do to the range that is shown: one word each, in terms of the model. */

import type { ReviewModel } from '#web/review/review-model.ts';
import { PAGE_SHARE, PAN_SHARE, panBy, spanOf, zoomAround, ZOOM_STEP } from '#web/review/view-range.ts';

export interface ReviewActions {
  /** By a factor, around a moment; around the crosshair or the middle where none is given. */
  zoom(factor: number, atUs?: number): void;
  zoomIn(): void;
  zoomOut(): void;
  /** By a share of what is shown: 0.1 is a tenth to the right. */
  pan(share: number): void;
  step(direction: 1 | -1): void;
  page(direction: 1 | -1): void;
  toStart(): void;
  toEnd(): void;
  whole(): void;
  fit(): void;
}

export function createReviewActions(model: ReviewModel): ReviewActions {
  const zoom = (factor: number, atUs?: number): void => {
    const { range, crosshairUs } = model.state;
    if (range === null) return;
    const isInside = crosshairUs !== null && crosshairUs >= range.fromUs && crosshairUs < range.toUs;
    const middle = isInside ? crosshairUs : range.fromUs / 2 + range.toUs / 2;
    model.setRange(zoomAround(range, atUs ?? middle, factor));
  };
  const pan = (share: number): void => {
    const { range } = model.state;
    if (range !== null) model.setRange(panBy(range, share * spanOf(range)));
  };
  const to = (end: 'start' | 'end'): void => {
    const { range, whole } = model.state;
    if (range === null || whole === null) return;
    model.setRange(panBy(range, end === 'start' ? whole.fromUs - range.fromUs : whole.toUs - range.toUs));
  };
  return {
    zoom,
    zoomIn: () => zoom(ZOOM_STEP),
    zoomOut: () => zoom(1 / ZOOM_STEP),
    pan,
    step: (direction) => pan(direction * PAN_SHARE),
    page: (direction) => pan(direction * PAGE_SHARE),
    toStart: () => to('start'),
    toEnd: () => to('end'),
    whole() {
      if (model.state.whole !== null) model.setRange(model.state.whole);
    },
    fit: () => model.setFitted(!model.state.isFitted),
  };
}
