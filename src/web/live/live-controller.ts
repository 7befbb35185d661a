/**
 * Owns the page's side of the live worker: it starts and stops it, gives it canvases with their true size in device
 * pixels, and tells it which are in sight. Readings never pass through here.
 */

import type { StreamDetail } from '#contract/rest.ts';
import type { CanvasSize } from '#web/live/trace-layout.ts';
import type { FromWorker, LiveInspection, LiveReport, ToWorker } from '#web/live/worker-messages.ts';

export interface LiveController {
  setStreams(streams: readonly StreamDetail[]): void;
  setView(view: Omit<Extract<ToWorker, { type: 'view' }>, 'type'>): void;
  /** Puts a canvas that the worker draws on into `host`; the returned function takes it away. */
  attachCanvas(stream: string, host: HTMLElement): () => void;
  inspect(): Promise<LiveInspection>;
  stop(): void;
}

export interface LiveControllerOptions {
  readonly session: string;
  /** Null: the cookie of a sign-in is the browser's. */
  readonly key: string | null;
  readonly onReport: (report: LiveReport) => void;
  readonly onUnknownStream: () => void;
}

/** Inspections that wait for their answer; a page asks for one at a time. */
const MAX_INSPECTIONS = 64;

/** False where the browser cannot draw in a worker. */
export function canDrawLive(): boolean {
  return (
    typeof Worker !== 'undefined' &&
    typeof OffscreenCanvas !== 'undefined' &&
    'transferControlToOffscreen' in HTMLCanvasElement.prototype
  );
}

export function createLiveController(options: LiveControllerOptions): LiveController {
  const worker = new Worker(new URL('./live-worker.ts', import.meta.url), { type: 'module' });
  const inspections = new Map<number, (inspection: LiveInspection) => void>();
  let nextInspection = 1;
  const send = (message: ToWorker, transfer: Transferable[] = []): void =>
    worker.postMessage(message, transfer);

  worker.addEventListener('message', ({ data }: MessageEvent<FromWorker>) => {
    switch (data.type) {
      case 'report':
        options.onReport(data.report);
        return;
      case 'unknownStream':
        options.onUnknownStream();
        return;
      case 'inspected':
        inspections.get(data.id)?.(data.inspection);
        inspections.delete(data.id);
    }
  });
  send({ type: 'start', origin: location.origin, key: options.key, session: options.session });
  return {
    setStreams: (streams) => send({ type: 'streams', streams }),
    setView: (view) => send({ type: 'view', ...view }),
    attachCanvas: (stream, host) => attachCanvas(stream, host, send),
    inspect: () =>
      new Promise((resolve, reject) => {
        if (inspections.size >= MAX_INSPECTIONS) {
          reject(new Error('too many inspections wait for the live worker'));
          return;
        }
        const id = nextInspection++;
        inspections.set(id, resolve);
        send({ type: 'inspect', id });
      }),
    stop() {
      send({ type: 'stop' });
      worker.terminate();
    },
  };
}

function attachCanvas(
  stream: string,
  host: HTMLElement,
  send: (message: ToWorker, transfer?: Transferable[]) => void,
): () => void {
  const element = document.createElement('canvas');
  element.className = 'trace-canvas';
  host.append(element);
  const box = element.getBoundingClientRect();
  const scale = window.devicePixelRatio;
  const canvas = element.transferControlToOffscreen();
  const size = {
    width: Math.max(1, Math.round(box.width * scale)),
    height: Math.max(1, Math.round(box.height * scale)),
    scale,
  };
  send({ type: 'canvas', stream, canvas, size }, [canvas]);
  const resizes = new ResizeObserver(([entry]) => {
    if (entry !== undefined) send({ type: 'resize', stream, size: deviceSize(entry) });
  });
  try {
    // The only box that tells exact device pixels; it also changes with the zoom.
    resizes.observe(element, { box: 'device-pixel-content-box' });
  } catch {
    resizes.observe(element);
  }
  const sight = new IntersectionObserver(([entry]) => {
    if (entry !== undefined) send({ type: 'visible', stream, visible: entry.isIntersecting });
  });
  sight.observe(element);
  return () => {
    resizes.disconnect();
    sight.disconnect();
    element.remove();
    send({ type: 'removeCanvas', stream });
  };
}

/**
 * The exact size in device pixels where the browser tells it. A scale that is emulated (developer tools, tests) does
 * not show in the exact box; then the product stands.
 */
export function deviceSize(entry: ResizeObserverEntry): CanvasSize {
  const scale = window.devicePixelRatio;
  const exact = entry.devicePixelContentBoxSize?.[0];
  const css = entry.contentBoxSize[0];
  const pick = (cssLength: number, exactLength: number | undefined): number => {
    const product = cssLength * scale;
    const isExact = exactLength !== undefined && Math.abs(exactLength - product) < 2;
    return Math.max(1, isExact ? exactLength : Math.round(product));
  };
  return {
    width: pick(css?.inlineSize ?? 1, exact?.inlineSize),
    height: pick(css?.blockSize ?? 1, exact?.blockSize),
    scale,
  };
}
