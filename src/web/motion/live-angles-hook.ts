/**
 * Owns the page's subscription of `session/{session}/motion`: rows go into a trace that the sweep draws, and React hears
 * of new columns at once and of the newest values at most every TELL_MS.
 */

import { useEffect, useState } from 'react';

import type { LiveAngles } from '#contract/motion.ts';
import { useLiveClient } from '#sdk/react-hooks.ts';
import { provideMotion } from '#web/inspection.ts';
import { createAngleTrace, inspectAngles, type AngleTrace } from '#web/motion/angle-trace.ts';

/** Numbers that change faster are not read. */
const TELL_MS = 200;

export interface LiveAnglesState {
  readonly columns: readonly string[];
  readonly latest: readonly (number | null)[];
  readonly latestUs: number | null;
  readonly computeMs: number | null;
  readonly refusal: string | null;
}

export interface AngleSource {
  readonly trace: AngleTrace;
  take(angles: LiveAngles, nowMs: number): void;
  /** Told of the earliest new time after every message. */
  onRows(listener: (fromMs: number) => void): () => void;
}

const nothing: LiveAnglesState = { columns: [], latest: [], latestUs: null, computeMs: null, refusal: null };

/** For one session: a component that shows another one is another component. */
export function useLiveAngles(session: string): { source: AngleSource; state: LiveAnglesState } {
  const live = useLiveClient();
  const [source] = useState(createSource);
  const [state, setState] = useState(nothing);
  useEffect(() => {
    const { trace } = source;
    let timer: ReturnType<typeof setTimeout> | null = null;
    const tell = (): void => {
      timer = null;
      const { columns, latest, latestUs, computeMs } = trace;
      setState({ columns, latest, latestUs, computeMs, refusal: null });
    };
    const subscription = live.subscribe(`session/${session}/motion`, {
      onMessage({ data }) {
        const { generation } = trace;
        source.take(data as LiveAngles, performance.now());
        if (trace.generation !== generation) tell();
        else timer ??= setTimeout(tell, TELL_MS);
      },
      onRefused: (_code, message) => setState({ ...nothing, refusal: message }),
    });
    const withdraw = provideMotion(() => inspectAngles(trace));
    return () => {
      withdraw();
      if (timer !== null) clearTimeout(timer);
      subscription.unsubscribe();
    };
  }, [live, session, source]);
  return { source, state };
}

function createSource(): AngleSource {
  const trace = createAngleTrace();
  const listeners = new Set<(fromMs: number) => void>();
  return {
    trace,
    take(angles, nowMs) {
      const fromMs = trace.take(angles, nowMs);
      if (fromMs !== null) for (const listener of listeners) listener(fromMs);
    },
    onRows(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
