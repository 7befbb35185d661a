/** Owns the reading and writing of what was done of a programme, for the parts of a page that show it. */

import { queryOptions } from '@tanstack/react-query';

import { careLimits, type EntryPage, type EntryRequest, type ProgrammeEntry } from '#contract/care.ts';
import { queryClient, server } from '#web/server.ts';

/** A week back, today with it. */
export const WEEK_DAYS = 7;
const PAGE_ROWS = 100;
/** Every exercise on every day of a week, and on the day that has begun elsewhere already. */
const MAX_PAGES = Math.ceil((careLimits.exercises * (WEEK_DAYS + 1)) / PAGE_ROWS);

export interface ProgrammeAddress {
  readonly patientId: string;
  readonly programmeId: string;
}

export function programmePath({ patientId, programmeId }: ProgrammeAddress): string {
  return `/v1/patients/${patientId}/programmes/${programmeId}`;
}

/** Entries from `firstDay` on, newest first. Bound: MAX_PAGES pages. */
export function weekQuery(address: ProgrammeAddress, firstDay: string) {
  return queryOptions({
    queryKey: ['entries', address.programmeId, 'from', firstDay],
    queryFn: async ({ signal }) => {
      const entries: ProgrammeEntry[] = [];
      let cursor: string | null = null;
      for (let page = 0; page < MAX_PAGES; page++) {
        const query = new URLSearchParams({
          limit: String(PAGE_ROWS),
          ...(cursor === null ? {} : { cursor }),
        });
        const path = `${programmePath(address)}/entries?${query.toString()}`;
        const answer: EntryPage = await server.call<EntryPage>('GET', path, { signal });
        entries.push(...answer.entries.filter(({ day }) => day >= firstDay));
        cursor = answer.next;
        if (cursor === null || (answer.entries.at(-1)?.day ?? '') < firstDay) break;
      }
      return entries;
    },
  });
}

export interface EntryPlace {
  readonly day: string;
  readonly exercise: string;
}

/** Null: nothing was done on this day after all. */
export async function writeEntry(
  address: ProgrammeAddress,
  { day, exercise }: EntryPlace,
  body: EntryRequest | null,
): Promise<void> {
  const path = `${programmePath(address)}/entries/${day}/${exercise}`;
  if (body === null) await server.call('DELETE', path);
  else await server.call('PUT', path, { body });
  await queryClient.invalidateQueries({ queryKey: ['entries', address.programmeId] });
  await queryClient.invalidateQueries({ queryKey: ['programmes', address.patientId] });
}
