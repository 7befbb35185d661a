/**
 * Owns what the device in a browser asks of the browser: locks between tabs, the wish that its data be kept, a mark that
 * a store existed, and the events of the page. All of it is described here as far as it is used, so that the rest needs
 * no types of a browser, and a test can be one. Works in a page and in a worker, which has no page events and no mark.
 */

import { AppError } from '#base/errors.ts';

export interface PageHandlers {
  /** The page may be frozen or discarded from now on. */
  hidden(): void;
  /** The page is in front again, or the network is back. */
  awake(): void;
}

export interface BrowserMachine {
  /**
   * Holds a lock of the origin until the returned function is called or the page is gone. Rejects with AppError
   * `conflict` when another one holds it and `isPatient` is false, or when `signal` ends the waiting.
   */
  lock(name: string, options: LockOptions): Promise<() => void>;
  /** Asks that the origin's data outlive pressure on the disk; the browser may refuse. */
  persist(): Promise<boolean>;
  /** A short text that outlives the database, unless everything of the origin is cleared. */
  mark(name: string): string | null;
  setMark(name: string, text: string): void;
  /** Returns what stops the listening. */
  listen(handlers: PageHandlers): () => void;
}

export interface LockOptions {
  readonly isPatient: boolean;
  readonly signal?: AbortSignal | undefined;
}

interface LockManager {
  request(
    name: string,
    options: { ifAvailable?: boolean; signal?: AbortSignal },
    held: (lock: unknown) => Promise<void>,
  ): Promise<void>;
}

interface EventSource {
  addEventListener(type: string, listener: () => void): void;
  removeEventListener(type: string, listener: () => void): void;
}

interface BrowserGlobal {
  readonly navigator?: { readonly locks?: LockManager; readonly storage?: { persist?(): Promise<boolean> } };
  readonly localStorage?: { getItem(key: string): string | null; setItem(key: string, text: string): void };
  readonly document?: EventSource & { readonly visibilityState: string };
  readonly addEventListener?: EventSource['addEventListener'];
  readonly removeEventListener?: EventSource['removeEventListener'];
}

const browser = globalThis as unknown as BrowserGlobal;

export const browserMachine: BrowserMachine = {
  lock: (name, options) => lock(name, options),
  async persist() {
    // A worker of some browsers has no such function, and a refusal changes nothing here.
    return (await browser.navigator?.storage?.persist?.().catch(() => false)) ?? false;
  },
  mark: (name) => {
    try {
      return browser.localStorage?.getItem(name) ?? null;
    } catch {
      return null;
    }
  },
  setMark: (name, text) => {
    try {
      browser.localStorage?.setItem(name, text);
    } catch {
      // Full or forbidden: then a cleared database is not known for one.
    }
  },
  listen: (handlers) => listen(handlers),
};

function lock(name: string, { isPatient, signal }: LockOptions): Promise<() => void> {
  const locks = browser.navigator?.locks;
  if (locks === undefined)
    return Promise.reject(
      new AppError('forbidden', 'a device store needs a page from https or from this machine (Web Locks)'),
    );
  const options = isPatient ? (signal === undefined ? {} : { signal }) : { ifAvailable: true };
  return new Promise((resolve, reject) => {
    const hold = (granted: unknown): Promise<void> => {
      if (granted !== null) return new Promise((release) => resolve(release));
      reject(new AppError('conflict', 'the device store is in use by another tab'));
      return Promise.resolve();
    };
    locks.request(name, options, hold).catch((cause: unknown) => {
      reject(new AppError('conflict', 'the device store is in use by another tab', { cause }));
    });
  });
}

const awakeEvents = ['online', 'pageshow', 'resume'] as const;
const hiddenEvents = ['pagehide', 'freeze'] as const;

function listen(handlers: PageHandlers): () => void {
  const { document } = browser;
  const awake = (): void => handlers.awake();
  const hidden = (): void => handlers.hidden();
  const turned = (): void => (document?.visibilityState === 'hidden' ? hidden() : awake());
  // `freeze` and `resume` come to the document, the others to the window (Page Lifecycle).
  const places = [browser, document].filter(
    (place): place is EventSource => place?.addEventListener !== undefined,
  );
  const each = (change: 'addEventListener' | 'removeEventListener'): void => {
    for (const place of places) {
      for (const type of awakeEvents) place[change](type, awake);
      for (const type of hiddenEvents) place[change](type, hidden);
    }
    document?.[change]('visibilitychange', turned);
  };
  each('addEventListener');
  return () => each('removeEventListener');
}
