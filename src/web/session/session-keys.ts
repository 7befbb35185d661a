/** Owns the keyboard of a session's page. Keys that a focused control needs for itself are left to it. */

import { useEffect, useRef } from 'react';

export interface SessionKeys {
  readonly freeze: () => void;
  /** Selects the next (1) or previous (-1) stream. */
  readonly step: (by: 1 | -1) => void;
  /** A longer (1) or shorter (-1) time window. */
  readonly window: (by: 1 | -1) => void;
  readonly help: () => void;
}

/** What the keys do, for the help text. */
export const keyHelp: readonly (readonly [key: string, meaning: string])[] = [
  ['Space', 'Freeze the picture, or let it run again. Recording goes on.'],
  ['\u2191 \u2193', 'Select a stream'],
  ['+ \u2212', 'A shorter or longer time window: 5, 10 or 30 seconds'],
  ['?', 'Show or hide this help'],
];

export function useSessionKeys(keys: SessionKeys): void {
  const latest = useRef(keys);
  useEffect(() => {
    latest.current = keys;
  });
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      if (needsKey(event.target, event.key)) return;
      const act = actionOf(event.key, latest.current);
      if (act === null) return;
      event.preventDefault();
      act();
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, []);
}

function actionOf(key: string, keys: SessionKeys): (() => void) | null {
  switch (key) {
    case ' ':
      return keys.freeze;
    case 'ArrowDown':
    case 'ArrowRight':
      return () => keys.step(1);
    case 'ArrowUp':
    case 'ArrowLeft':
      return () => keys.step(-1);
    // Plus magnifies: less time over the same width.
    case '+':
    case '=':
      return () => keys.window(-1);
    case '-':
      return () => keys.window(1);
    case '?':
      return keys.help;
    default:
      return null;
  }
}

/** A button is pressed with space, a choice is moved and a region is scrolled with arrows, a field takes all. */
function needsKey(target: EventTarget | null, key: string): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || ['INPUT', 'TEXTAREA', 'SELECT'].includes(target.tagName)) return true;
  if (key === ' ') return target.closest('button, a, summary') !== null;
  return key.startsWith('Arrow') && target.closest('[role=region][tabindex]') !== null;
}
