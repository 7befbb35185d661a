/** Owns the keyboard of the review page, and how it is explained. Keys that a focused control needs are left to it. */

import { useEffect, useRef } from 'react';

import type { ReviewActions } from '#web/review/review-actions.ts';

/** For the help: what to do, and what happens. */
export const reviewHelp: readonly (readonly [keys: readonly string[], meaning: string])[] = [
  [['\u2190', '\u2192'], 'Earlier, later: a tenth of what is shown; with Shift nearly all of it'],
  [['+', '\u2212'], 'Closer, further: half or twice the time, around the crosshair'],
  [['Home', 'End'], 'To the start, to the end'],
  [['0'], 'The whole recording'],
  [[',', '.'], 'Crosshair to the reading before, after'],
  [['F'], 'Scale to what is shown, or to the whole recording'],
  [['Esc'], 'Crosshair away'],
  [['?'], 'Show or hide this help'],
];

export const pointerHelp: readonly (readonly [gesture: string, meaning: string])[] = [
  ['Wheel, pinch', 'Zoom at the pointer'],
  ['Drag', 'Move along time; Shift and wheel too'],
  ['Shift and drag', 'Zoom to what was marked'],
  ['Double click', 'Zoom in; with Shift zoom out'],
];

export interface ReviewKeys extends ReviewActions {
  /** Moves the crosshair to the next (1) or previous (-1) reading. */
  readonly stepCrosshair: (by: 1 | -1) => void;
  readonly clearCrosshair: () => void;
  readonly help: () => void;
}

export function useReviewKeys(keys: ReviewKeys): void {
  const latest = useRef(keys);
  useEffect(() => {
    latest.current = keys;
  });
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      if (isTakenBy(event.target, event.key)) return;
      const act = actionOf(event, latest.current);
      if (act === null) return;
      event.preventDefault();
      act();
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, []);
}

function actionOf({ key, shiftKey }: KeyboardEvent, keys: ReviewKeys): (() => void) | null {
  switch (key) {
    case 'ArrowLeft':
      return () => (shiftKey ? keys.page(-1) : keys.step(-1));
    case 'ArrowRight':
      return () => (shiftKey ? keys.page(1) : keys.step(1));
    case '+':
    case '=':
      return keys.zoomIn;
    case '-':
    case '_':
      return keys.zoomOut;
    case 'Home':
      return keys.toStart;
    case 'End':
      return keys.toEnd;
    case '0':
      return keys.whole;
    case ',':
      return () => keys.stepCrosshair(-1);
    case '.':
      return () => keys.stepCrosshair(1);
    case 'f':
    case 'F':
      return keys.fit;
    case 'Escape':
      return keys.clearCrosshair;
    case '?':
      return keys.help;
    default:
      return null;
  }
}

/** A field takes all keys, an open dialog its own; a slider takes arrows, a region that scrolls its ends too. */
function isTakenBy(target: EventTarget | null, key: string): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || ['INPUT', 'TEXTAREA', 'SELECT'].includes(target.tagName)) return true;
  if (target.closest('dialog') !== null) return key !== '?';
  if (key === 'Home' || key === 'End') return target.closest('[role=region][tabindex]') !== null;
  return key.startsWith('Arrow') && target.closest('[role=slider], [role=region][tabindex]') !== null;
}
