/** Owns how an exercise of a programme reads: how much of it, and how often. */

import type { Exercise } from '#contract/care.ts';

export function amountWords({ sets, repetitions, durationS, timesPerWeek }: Exercise): string {
  const parts = [
    sets === null ? null : `${sets} sets`,
    repetitions === null ? null : `${repetitions} times`,
    durationS === null ? null : `${durationS}\u202fs`,
    timesPerWeek === 7 ? 'every day' : `${timesPerWeek} a week`,
  ];
  return parts.filter((part) => part !== null).join(', ');
}
