/**
 * Owns the colours of traces on canvas and in legends, dark and light; look.css has the same meanings for the rest of
 * the page. Left is vermilion and right is blue of the Okabe-Ito palette (M. Okabe, K. Ito, "Color Universal Design",
 * 2008), lighter on dark ground. X, Y, Z differ in tint only in support of their line styles.
 */

import type { BodySide, LineStyle } from '#web/live/axis-groups.ts';
import type { GapCause } from '#web/live/gap-spans.ts';

export interface Palette {
  readonly surface: string;
  readonly grid: string;
  readonly zero: string;
  readonly label: string;
  /** Of a gap that a person should look at. */
  readonly attention: string;
  readonly sides: Readonly<Record<BodySide, Readonly<Record<LineStyle, string>>>>;
}

export const palettes: Readonly<Record<'dark' | 'light', Palette>> = {
  dark: {
    surface: '#14181c',
    grid: '#20272d',
    zero: '#39434c',
    label: '#9aa5b1',
    attention: '#e8ab3c',
    sides: {
      left: { solid: '#ff8f52', dashed: '#ffc29e', dotted: '#f0652a', 'dash-dotted': '#ffd9c2' },
      right: { solid: '#55b0f2', dashed: '#a9d7fa', dotted: '#2b8fe0', 'dash-dotted': '#cfe8fb' },
      centre: { solid: '#d5dbe1', dashed: '#b0bac4', dotted: '#8a97a4', 'dash-dotted': '#eef1f4' },
    },
  },
  light: {
    surface: '#ffffff',
    grid: '#eceff2',
    zero: '#c3cad1',
    label: '#55606b',
    attention: '#8a5a00',
    sides: {
      left: { solid: '#d55e00', dashed: '#a34700', dotted: '#e8772a', 'dash-dotted': '#7a3500' },
      right: { solid: '#0072b2', dashed: '#004d7a', dotted: '#2e8fcb', 'dash-dotted': '#003a5c' },
      centre: { solid: '#4a545e', dashed: '#2b333a', dotted: '#6c7781', 'dash-dotted': '#14181c' },
    },
  },
};

const FONT_PX = 11;

/** The font of text on a canvas, the page's own; `scale` in device pixels a CSS pixel. */
export function canvasFont(scale: number): string {
  return `${FONT_PX * scale}px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", Arial, sans-serif`;
}

/** On and off lengths of each style along the time axis, in CSS pixels. Off is drawn faint: no peak is hidden. */
export const dashes: Readonly<Record<LineStyle, readonly number[]>> = {
  solid: [],
  dashed: [10, 5],
  dotted: [3, 3],
  'dash-dotted': [9, 3, 3, 3],
};

/** What is written into a gap: the first that fits. A gap that still grows has the last. */
export const gapWords: Readonly<Record<GapCause, readonly string[]>> = {
  lost: ['declared lost', 'lost'],
  stored: ['recorded, not shown here', 'recorded'],
  pending: ['not arrived yet'],
  offline: ['this page was not connected', 'not connected'],
  pause: ['no readings'],
  restart: ['sensor restarted', 'restart'],
};

export function isWorrying(cause: GapCause): boolean {
  return cause === 'lost' || cause === 'pending' || cause === 'pause';
}
