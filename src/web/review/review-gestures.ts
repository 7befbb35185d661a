/**
 * Owns what pointer and wheel do over the plots: zoom at the pointer, drag, pinch, mark a range, move the crosshair.
 * Outside the plots the wheel scrolls the page. At most two pointers are followed.
 */

import { useEffect, type RefObject } from 'react';

import type { ReviewActions } from '#web/review/review-actions.ts';
import type { ReviewModel } from '#web/review/review-model.ts';
import { panBy, spanOf, type TimeRange } from '#web/review/view-range.ts';

/** One notch of a wheel (100 pixels) zooms by about a quarter; a pinch of a touchpad sends far smaller steps. */
const WHEEL_PER_PIXEL = 0.0022;
const PINCH_PER_PIXEL = 0.012;
const LINE_PIXELS = 33;
const MAX_WHEEL_PIXELS = 300;
const DOUBLE_CLICK_FACTOR = 4;
/** A press that moved less is a click. */
const CLICK_PX = 4;

export interface MarkedPixels {
  readonly left: number;
  readonly width: number;
}

export interface GestureTarget {
  readonly model: ReviewModel;
  readonly actions: ReviewActions;
  /** While a range is being marked, in CSS pixels from the host's left edge; null when it ended. */
  readonly onMark: (marked: MarkedPixels | null) => void;
}

interface Press {
  readonly startX: number;
  x: number;
}

export function useReviewGestures(host: RefObject<HTMLElement | null>, target: GestureTarget): void {
  const { model, actions, onMark } = target;
  useEffect(() => {
    const element = host.current;
    if (element === null) return;
    return listen(element, { model, actions, onMark });
  }, [host, model, actions, onMark]);
}

function listen(host: HTMLElement, { model, actions, onMark }: GestureTarget): () => void {
  const presses = new Map<number, Press>();
  let before: TimeRange | null = null;
  let markFrom: number | null = null;

  /** Pixels from the left edge of the plots. */
  const place = (event: MouseEvent): number => {
    const canvas = host.querySelector('canvas')?.getBoundingClientRect();
    return event.clientX - (canvas?.left ?? 0) - model.plot.left;
  };
  const timeAt = (x: number, range: TimeRange | null = model.state.range): number =>
    range === null ? 0 : range.fromUs + (x / model.plot.width) * spanOf(range);
  const isOverPlot = (event: MouseEvent): boolean => {
    const x = place(event);
    // Not the event's target: while a pointer is captured, that is the host.
    const under = document.elementFromPoint(event.clientX, event.clientY);
    return x >= 0 && x <= model.plot.width && under !== null && under.closest('.review-plots') !== null;
  };

  const onWheel = (event: WheelEvent): void => {
    if (!isOverPlot(event) || model.state.range === null) return;
    event.preventDefault();
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE_PIXELS : 1;
    const bound = (pixels: number): number =>
      Math.max(-MAX_WHEEL_PIXELS, Math.min(MAX_WHEEL_PIXELS, pixels * unit));
    const x = bound(event.shiftKey && event.deltaX === 0 ? event.deltaY : event.deltaX);
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      actions.pan(x / model.plot.width);
      return;
    }
    const rate = event.ctrlKey ? PINCH_PER_PIXEL : WHEEL_PER_PIXEL;
    actions.zoom(Math.exp(-bound(event.deltaY) * rate), timeAt(place(event)));
  };

  const onDown = (event: PointerEvent): void => {
    if (!isOverPlot(event) || event.button !== 0 || presses.size >= 2) return;
    const x = place(event);
    host.setPointerCapture(event.pointerId);
    presses.set(event.pointerId, { startX: x, x });
    before = model.state.range;
    if (presses.size === 2) {
      markFrom = null;
      onMark(null);
      // From here on the two fingers hold what is under them now.
      for (const [id, press] of presses) presses.set(id, { startX: press.x, x: press.x });
    } else if (event.shiftKey) markFrom = x;
  };

  const onMove = (event: PointerEvent): void => {
    const x = place(event);
    const press = presses.get(event.pointerId);
    if (press === undefined) {
      if (event.pointerType === 'mouse') model.setCrosshair(isOverPlot(event) ? timeAt(x) : null);
      return;
    }
    press.x = x;
    if (before === null) return;
    if (presses.size === 2) {
      pinch([...presses.values()], before);
      return;
    }
    if (markFrom !== null) {
      const left = Math.max(0, Math.min(markFrom, x));
      const right = Math.min(model.plot.width, Math.max(markFrom, x));
      onMark({ left: left + model.plot.left, width: right - left });
      return;
    }
    host.dataset['dragging'] = 'true';
    model.setRange(panBy(before, ((press.startX - x) / model.plot.width) * spanOf(before)));
    model.setCrosshair(timeAt(x));
  };

  /** Keeps under each finger the moment that it took hold of. */
  const pinch = ([a, b]: readonly Press[], range: TimeRange): void => {
    if (a === undefined || b === undefined) return;
    const distance = b.x - a.x;
    const held = b.startX - a.startX;
    if (Math.abs(distance) < 8 || Math.sign(distance) !== Math.sign(held)) return;
    const span = (spanOf(range) * held) / distance;
    const heldUs = timeAt(a.startX, range);
    const fromUs = heldUs - (a.x / model.plot.width) * span;
    model.setRange({ fromUs, toUs: fromUs + span });
  };

  const onUp = (event: PointerEvent): void => {
    const press = presses.get(event.pointerId);
    if (press === undefined) return;
    presses.delete(event.pointerId);
    delete host.dataset['dragging'];
    before = model.state.range;
    for (const [id, other] of presses) presses.set(id, { startX: other.x, x: other.x });
    const isClick = Math.abs(press.x - press.startX) < CLICK_PX;
    if (markFrom !== null) {
      const [fromUs, toUs] = [markFrom, press.x].toSorted((p, q) => p - q).map((x) => timeAt(x));
      markFrom = null;
      onMark(null);
      if (!isClick && fromUs !== undefined && toUs !== undefined && event.type !== 'pointercancel')
        model.setRange({ fromUs, toUs });
    } else if (isClick && event.pointerType !== 'mouse') model.setCrosshair(timeAt(press.x));
  };

  const onLeave = (event: PointerEvent): void => {
    if (event.pointerType === 'mouse' && presses.size === 0) model.setCrosshair(null);
  };
  const onDoubleClick = (event: MouseEvent): void => {
    if (!isOverPlot(event)) return;
    event.preventDefault();
    const factor = event.shiftKey ? 1 / DOUBLE_CLICK_FACTOR : DOUBLE_CLICK_FACTOR;
    actions.zoom(factor, timeAt(place(event)));
  };

  const ending = new AbortController();
  const { signal } = ending;
  host.addEventListener('wheel', onWheel, { passive: false, signal });
  host.addEventListener('pointerdown', onDown, { signal });
  host.addEventListener('pointermove', onMove, { signal });
  host.addEventListener('pointerup', onUp, { signal });
  host.addEventListener('pointercancel', onUp, { signal });
  host.addEventListener('pointerleave', onLeave, { signal });
  host.addEventListener('dblclick', onDoubleClick, { signal });
  return () => ending.abort();
}
