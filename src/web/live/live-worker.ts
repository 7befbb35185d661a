/** Owns the entry of the live worker: the first message starts the view, all others are handed to it. */

import { createLiveView, type LiveView } from '#web/live/live-view.ts';
import type { FromWorker, ToWorker } from '#web/live/worker-messages.ts';

/** The part of DedicatedWorkerGlobalScope that is used; the DOM types of TypeScript describe windows only. */
interface WorkerScope {
  postMessage: (message: FromWorker) => void;
  requestAnimationFrame: (callback: () => void) => number;
  addEventListener: (type: 'message', listener: (event: MessageEvent<ToWorker>) => void) => void;
}

const scope = globalThis as unknown as WorkerScope;
// A worker's messages go to its page only: there is no target origin to name.
const post = scope.postMessage.bind(scope);
let view: LiveView | null = null;

scope.addEventListener('message', ({ data }) => {
  if (data.type === 'start')
    view = createLiveView(data, {
      post: (message) => post(message),
      requestFrame: (callback) => scope.requestAnimationFrame(callback),
    });
  else view?.handle(data);
});
