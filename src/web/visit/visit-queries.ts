/** Owns what the page asks of a session as a visit: its plan, its sensors, its annotations, and what changes them. */

import { queryOptions } from '@tanstack/react-query';

import type {
  AnnotationPage,
  AnnotationRequest,
  PatientBinding,
  PlanRequest,
  PlacementsChange,
  ProtocolPage,
  Visit,
  VisitAsked,
} from '#contract/visit.ts';
import { queryClient, server } from '#web/server.ts';

/** What others change about a visit is seen within this time. */
const REFRESH_MS = 3_000;
/** An hour with one every half minute; older ones follow by the cursor. */
const MAX_PAGES = 50;

export function visitQuery(session: string) {
  return queryOptions({
    queryKey: ['visit', session],
    queryFn: ({ signal }) => server.call<Visit>('GET', `/v1/sessions/${session}/visit`, { signal }),
    refetchInterval: REFRESH_MS,
  });
}

/** All of a session: a time line cannot be paged. Bound: MAX_PAGES pages of 100. */
export function annotationsQuery(session: string) {
  return queryOptions({
    queryKey: ['annotations', session],
    queryFn: async ({ signal }) => {
      const annotations: AnnotationPage['annotations'] = [];
      let cursor: string | null = null;
      for (let page = 0; page < MAX_PAGES; page++) {
        const query = new URLSearchParams({ limit: '100', ...(cursor === null ? {} : { cursor }) });
        const path = `/v1/sessions/${session}/annotations?${query.toString()}`;
        const answer: AnnotationPage = await server.call<AnnotationPage>('GET', path, { signal });
        annotations.push(...answer.annotations);
        cursor = answer.next;
        if (cursor === null) break;
      }
      return annotations;
    },
  });
}

export const protocolsQuery = queryOptions({
  queryKey: ['protocols', 'choice'],
  queryFn: ({ signal }) => server.call<ProtocolPage>('GET', '/v1/protocols?limit=100', { signal }),
});

export const visitCalls = {
  plan: (body: PlanRequest) => server.call<Visit>('POST', '/v1/sessions', { body }),
  place: (session: string, body: PlacementsChange) =>
    server.call<Visit>('PUT', `/v1/sessions/${session}/placements`, { body }),
  bind: (session: string, body: PatientBinding) =>
    server.call<Visit>('PUT', `/v1/sessions/${session}/patient`, { body }),
  start: (session: string) => server.call<VisitAsked>('POST', `/v1/sessions/${session}/start`, { body: {} }),
  end: (session: string, now: boolean) =>
    server.call<VisitAsked>('POST', `/v1/sessions/${session}/end`, { body: now ? { now } : {} }),
  seal: (session: string, revision: number) =>
    server.call<Visit>('POST', `/v1/sessions/${session}/seal`, { body: { revision } }),
  annotate: (session: string, body: AnnotationRequest) =>
    server.call('POST', `/v1/sessions/${session}/annotations`, { body }),
} as const;

/** What an answer says is shown at once, and what hangs on it is read again. */
export async function visitChanged(visit: Visit): Promise<void> {
  const { id, patient } = visit.session;
  queryClient.setQueryData(['visit', id], visit);
  await queryClient.invalidateQueries({ queryKey: ['session', id] });
  await queryClient.invalidateQueries({ queryKey: ['sessions'] });
  if (patient !== null) await queryClient.invalidateQueries({ queryKey: ['patient', patient.id] });
}
