/** Owns the true size of a canvas in device pixels, told when it is laid out and whenever it changes. */

import { useEffect, useRef, type RefObject } from 'react';

import { deviceSize } from '#web/live/live-controller.ts';
import type { CanvasSize } from '#web/live/trace-layout.ts';

export function useCanvasSize(
  canvas: RefObject<HTMLCanvasElement | null>,
  onSize: (canvas: HTMLCanvasElement, size: CanvasSize) => void,
): void {
  const latest = useRef(onSize);
  useEffect(() => {
    latest.current = onSize;
  });
  useEffect(() => {
    const element = canvas.current;
    if (element === null) return;
    const resizes = new ResizeObserver(([entry]) => {
      if (entry !== undefined) latest.current(element, deviceSize(entry));
    });
    try {
      // The only box that tells exact device pixels; it also changes with the browser's zoom.
      resizes.observe(element, { box: 'device-pixel-content-box' });
    } catch {
      resizes.observe(element);
    }
    return () => resizes.disconnect();
  }, [canvas]);
}
