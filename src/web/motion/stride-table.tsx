/** Owns the table of all strides: sorted by any column, each with a button that shows it in the recording. */

import { Button } from '@mantine/core';
import { useState } from 'react';

import { DASH, formatCount, formatSegment } from '#web/format.ts';
import { turnDuring, type Stride, type Turn } from '#web/motion/gait-feed.ts';
import { nextSort, sortStrides, strideColumns, type StrideSort } from '#web/motion/stride-rows.ts';
import { strideFigure, strideRemark } from '#web/motion/stride-words.ts';
import { formatSinceStart } from '#web/review/time-ticks.ts';

export interface StrideTableProps {
  readonly strides: readonly Stride[];
  readonly turns: readonly Turn[];
  /** Of the recording, in device time as the strides have it. */
  readonly startUs: number;
  readonly sort: StrideSort;
  readonly setSort: (sort: StrideSort) => void;
  readonly show: (stride: Stride) => void;
}

/** More at once would make the page slow; the rest is a press away. */
const PAGE = 60;

export function StrideTable({ strides, turns, startUs, sort, setSort, show }: StrideTableProps) {
  const [pages, setPages] = useState(1);
  const rows = sortStrides(strides, sort).slice(0, pages * PAGE);
  return (
    <>
      <div
        className="numbers-scroll stride-scroll"
        role="region"
        aria-labelledby="strides-title"
        // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- a region that scrolls is reached by keyboard
        tabIndex={0}
      >
        <table className="strides">
          <thead>
            <tr>
              {strideColumns.map(({ id, label }) => (
                <th key={id} scope="col" aria-sort={ariaSort(sort, id)}>
                  <button type="button" className="sort-button" onClick={() => setSort(nextSort(sort, id))}>
                    {label}
                    <span aria-hidden="true">
                      {sort.column === id ? (sort.isDown ? ' \u2193' : ' \u2191') : ''}
                    </span>
                  </button>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((stride) => (
              <tr key={`${stride.side} ${stride.startUs}`}>
                {strideColumns.map((column) =>
                  column.id === 'start' ? (
                    <th key={column.id} scope="row">
                      <button
                        type="button"
                        className="text-button"
                        title="Show this stride in the recording"
                        onClick={() => show(stride)}
                      >
                        {formatSinceStart(stride.startUs - startUs, 2)}
                      </button>
                    </th>
                  ) : (
                    <td key={column.id}>
                      <StrideCell stride={stride} turns={turns} column={column} />
                    </td>
                  ),
                )}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {rows.length < strides.length && (
        <p className="list-foot">
          <span className="muted">
            {formatCount(rows.length)} of {formatCount(strides.length)} strides
          </span>
          <Button variant="default" size="xs" onClick={() => setPages(pages + 1)}>
            Show more
          </Button>
        </p>
      )}
    </>
  );
}

function StrideCell({
  stride,
  turns,
  column,
}: {
  stride: Stride;
  turns: readonly Turn[];
  column: (typeof strideColumns)[number];
}) {
  if (column.id === 'side')
    return (
      <span className="side-mark" data-side={stride.side}>
        {formatSegment(stride.side)}
      </span>
    );
  if (column.figure === null) return strideRemark(stride, turnDuring(turns, stride)) ?? DASH;
  return strideFigure(stride, column.figure);
}

function ariaSort(sort: StrideSort, id: string): 'ascending' | 'descending' | 'none' {
  if (sort.column !== id) return 'none';
  return sort.isDown ? 'descending' : 'ascending';
}
