/** Owns `npm run simulate-faults -- --profile channels`: histories of many seeds in this process, and their sums. */

import { runChannelHistory, type ChannelHistory } from '#test/simulation/channels/channel-history.ts';

export interface ChannelCampaign {
  readonly from: number;
  readonly seeds: number;
  /** Zero: as many as `seeds` says. */
  readonly minutes: number;
}

/** Returns the exit code: 1 when a history fails, which is shown with all that happened in it. */
export async function runChannelCampaign({ from, seeds, minutes }: ChannelCampaign): Promise<number> {
  const { stdout, stderr } = process;
  const endMs = minutes === 0 ? Number.POSITIVE_INFINITY : performance.now() + minutes * 60_000;
  const faults: Record<string, number> = {};
  const sums: Record<string, number> = {};
  let histories = 0;
  let failed: ChannelHistory | null = null;
  let seed = from;
  for (; failed === null && performance.now() < endMs && (minutes > 0 || histories < seeds); seed++) {
    const history = await runChannelHistory(seed);
    histories++;
    add(faults, history.faults);
    add(sums, history.tally);
    if (history.violation !== null) failed = history;
    if (stderr.isTTY) stderr.write(`\r\u001b[2K  ${histories} histories`);
  }
  if (stderr.isTTY) stderr.write('\r\u001b[2K');
  stdout.write(`${histories} histories from seed ${from}: ${wordsOf(sums)}\nfaults: ${wordsOf(faults)}\n`);
  if (failed === null) return 0;
  const { check, message } = failed.violation!;
  stdout.write(`seed ${seed - 1} fails: ${check}: ${message}\n${failed.trace.join('\n')}\n`);
  return 1;
}

function add(sums: Record<string, number>, more: Readonly<Record<string, number>> | object): void {
  for (const [name, count] of Object.entries(more) as [string, number][])
    sums[name] = (sums[name] ?? 0) + count;
}

function wordsOf(sums: Readonly<Record<string, number>>): string {
  return Object.entries(sums)
    .map(([name, count]) => `${count} ${name}`)
    .join(', ');
}
