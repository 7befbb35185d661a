/** Owns docs/accuracy.md: what was measured, set by set, with the published figure beside ours and how each was obtained. */

import type { AccuracyRow } from '#bench/accuracy/accuracy-set.ts';
import type { Machine } from '#bench/support/machine.ts';
import { formatFigure } from '#bench/support/report.ts';

export interface MeasuredSet {
  readonly set: string;
  readonly method: string;
  /** Null: absent, or it could not be measured. */
  readonly rows: readonly AccuracyRow[] | null;
  /** The folder has no such set. */
  readonly isAbsent: boolean;
  /** Why it could not be measured. */
  readonly problem: string | null;
}

/** Rows over a whole set stand first, those of single trials after them. */
export function inOrder(rows: readonly AccuracyRow[]): AccuracyRow[] {
  const isWhole = ({ trials }: AccuracyRow): boolean => trials === 'all';
  return [...rows.filter(isWhole), ...rows.filter((row) => !isWhole(row))];
}

export function accuracyDocument(
  sets: readonly MeasuredSet[],
  { command, date, machine }: { command: string; date: string; machine: Machine },
): string {
  const parts = [
    '# Accuracy',
    '',
    'Our algorithms on recordings with a reference, and beside each figure the best published one we know of. Made by',
    `\`${command}\` on ${date} with Node ${machine.node} (the figures do not depend on the machine). Rerun it with`,
    '`--data DIR` on any folder of the same format; sets that are absent are named as absent.',
    '',
    'The algorithms use nothing of a reference for axes, signs, offsets or headings unless a row says so. These few recordings were the',
    'only ones there were to build on, so their errors were in sight while methods were compared: what was chosen that way stands with',
    'each set, and what counts are the figures of people and trials that nobody had seen.',
    '',
  ];
  for (const { set, method, rows, isAbsent, problem } of sets) {
    parts.push(`## ${set}`, '', method, '');
    if (rows === null) {
      parts.push(isAbsent ? 'Absent from the folder of this run.' : `Not measured: ${problem}.`, '');
      continue;
    }
    const whole = rows.filter(({ trials }) => trials === 'all');
    const single = rows.filter(({ trials }) => trials !== 'all');
    if (whole.length > 0) parts.push(...table(whole), '');
    if (single.length > FOLDED_ROWS)
      parts.push(
        '<details><summary>Single trials and people</summary>',
        '',
        ...table(single),
        '',
        '</details>',
      );
    else if (single.length > 0) parts.push(...table(single));
    parts.push('');
  }
  return parts.join('\n');
}

/** More rows than a reader looks through are folded. */
const FOLDED_ROWS = 24;

function table(rows: readonly AccuracyRow[]): string[] {
  return [
    '| trials | metric | unit | ours | published | by |',
    '|---|---|---|---:|---:|---|',
    ...rows.map(
      (row) =>
        `| ${cell(row.trials)} | ${cell(row.metric)} | ${cell(row.unit)} | ${figure(row.ours)} | ${figure(row.published)} | ${cell(row.publishedBy ?? '')} |`,
    ),
  ];
}

/** The largest figures of exact checks are far below what three decimals show. */
export function figure(value: number | null): string {
  if (value !== null && value !== 0 && Math.abs(value) < 0.001) return value.toExponential(1);
  return formatFigure(value);
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
