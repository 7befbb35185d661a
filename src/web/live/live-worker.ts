/** Owns the entry of the live worker: the first message starts the view, all others are handed to it. */

import { createLiveView, type LiveView } from '#web/live/live-view.ts';
import type { FromWorker, ToWorker } from '#web/live/worker-messages.ts';

/** The part of DedicatedWorkerGlobalScope that is used; the DOM types of TypeScript describe windows only. */
interface WorkerScope {
  postMessage(message: FromWorker): void;
  requestAnimationFrame(callback: () => void): number;
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
}

const scope = globalThis as unknown as WorkerScope;
let view: LiveView | null = null;

scope.onmessage = ({ data }) => {
  if (data.type === 'start')
    view = createLiveView(data, {
      post: (message) => scope.postMessage(message),
      requestFrame: (callback) => scope.requestAnimationFrame(callback),
    });
  else view?.handle(data);
};
