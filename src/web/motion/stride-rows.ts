/** Owns the table of strides: its columns, their order and its sorting, which an address restores. */

import type { Stride } from '#web/motion/gait-feed.ts';
import type { StrideFigure } from '#web/motion/stride-words.ts';

/** By the names that addresses have. */
export const strideColumns = [
  { id: 'start', label: 'Start', figure: null },
  { id: 'side', label: 'Side', figure: null },
  { id: 'time', label: 'Stride time', figure: 'strideTimeS' },
  { id: 'stance', label: 'Stance', figure: 'stanceTimeS' },
  { id: 'swing', label: 'Swing', figure: 'swingTimeS' },
  { id: 'double', label: 'Double support', figure: 'doubleSupportPercent' },
  { id: 'length', label: 'Length', figure: 'strideLengthM' },
  { id: 'speed', label: 'Speed', figure: 'speedMS' },
  { id: 'clearance', label: 'Clearance', figure: 'clearanceM' },
  { id: 'turn', label: 'Turn, stairs', figure: null },
] as const satisfies readonly {
  readonly id: string;
  readonly label: string;
  readonly figure: StrideFigure | null;
}[];

export type StrideColumn = (typeof strideColumns)[number]['id'];

export interface StrideSort {
  readonly column: StrideColumn;
  readonly isDown: boolean;
}

export const firstSort: StrideSort = { column: 'start', isDown: false };

/** `length` upwards, `-length` downwards. What is not understood is the order of time. */
export function parseSort(text: string | undefined): StrideSort {
  const isDown = text?.startsWith('-') === true;
  const column = strideColumns.find(({ id }) => id === text?.slice(isDown ? 1 : 0))?.id;
  return column === undefined ? firstSort : { column, isDown };
}

/** Undefined for the order of time. */
export function formatSort({ column, isDown }: StrideSort): string | undefined {
  return column === 'start' && !isDown ? undefined : `${isDown ? '-' : ''}${column}`;
}

/** What pressing a column's head does: upwards, then downwards. */
export function nextSort(sort: StrideSort, column: StrideColumn): StrideSort {
  return { column, isDown: sort.column === column && !sort.isDown };
}

/** Strides without the value come last, whichever the direction; equals stay in order of time. */
export function sortStrides(strides: readonly Stride[], { column, isDown }: StrideSort): Stride[] {
  const key = (stride: Stride): number | null => {
    if (column === 'start') return stride.startUs;
    if (column === 'side') return stride.side === 'left' ? 0 : 1;
    if (column === 'turn') return stride.turnDeg === null ? null : Math.abs(stride.turnDeg);
    const figure = strideColumns.find(({ id }) => id === column)?.figure ?? null;
    return figure === null ? null : stride[figure];
  };
  const sign = isDown ? -1 : 1;
  return strides.toSorted((a, b) => {
    const left = key(a);
    const right = key(b);
    if (left === null || right === null)
      return Number(left === null) - Number(right === null) || a.startUs - b.startUs;
    return sign * (left - right) || a.startUs - b.startUs;
  });
}
