/**
 * Owns what "kept for so many days" means: whole days after the day of the commit, so that a reading committed a minute
 * before midnight is kept as long as one of the morning, and a wrong device clock changes nothing. Pure.
 */

import type { DayPartition } from '#store/partitions.ts';

/** How long the readings of one class are kept. Days; null: for ever. Roll-ups outlive readings. */
export interface RetentionRule {
  readonly retentionClass: number;
  readonly name: string;
  readonly rawDays: number | null;
  readonly rollupDays: number | null;
}

const MS_PER_DAY = 86_400_000;

/** The last day (`2026-01-31`) whose readings a rule of `days` drops on `today`; null: none. */
export function lastDroppedDay(today: string, days: number | null): string | null {
  if (days === null) return null;
  return new Date(Date.parse(`${today}T00:00:00Z`) - (days + 1) * MS_PER_DAY).toISOString().slice(0, 10);
}

/** True when everything in the partition is older than its class keeps. A class without a rule keeps everything. */
export function isExpired(
  { retentionClass, day }: DayPartition,
  today: string,
  rules: readonly RetentionRule[],
): boolean {
  const rule = rules.find((other) => other.retentionClass === retentionClass);
  const last = rule === undefined ? null : lastDroppedDay(today, rule.rawDays);
  return last !== null && day <= last;
}

/**
 * True when no flush files anything under this day any more. One that began before midnight may commit after it, and
 * servers may disagree about midnight for the length of a flush.
 */
export function isPast({ day }: DayPartition, today: string): boolean {
  return day <= lastDroppedDay(today, 1)!;
}
