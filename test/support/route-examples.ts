/**
 * Owns one valid request for each route that needs more than a sample of its schema, in an order in which each finds what it is
 * about, and what is kept of the answers for those behind it. Sent in that order by an owner who is made by the first one.
 */

import { systemClock as clock } from '#base/clock.ts';
import { uuidv7 } from '#base/uuid.ts';
import type { IdentityMail } from '#identity/entrances.ts';
import { entering, leaving } from '#test/support/account-examples.ts';
import { insertSummary } from '#test/support/clinic-rows.ts';
import type { TestClinic } from '#test/support/test-clinic.ts';

/** What is looked at of answers. */
interface Answer {
  readonly id?: string;
  readonly revision?: number;
  readonly session?: Answer;
  readonly visit?: Answer;
  readonly endpoint?: Answer;
  readonly invitation?: Answer;
  readonly token?: string;
  readonly secret?: string;
  readonly challenge?: string;
  readonly codes?: readonly string[];
  readonly signIns?: readonly { readonly id: string; readonly isCurrent: boolean }[];
  readonly members?: readonly { readonly id: string; readonly email: string }[];
  readonly deliveries?: readonly { readonly id: string }[];
}

export interface Example {
  /** Method and path as the OpenAPI document has them. */
  readonly route: string;
  /** Not counted. */
  readonly prepare?: () => Promise<unknown>;
  /** Who asks has not signed in. */
  readonly isStranger?: true;
  readonly query?: () => string;
  /** Laid over a sample of the schema. */
  readonly body?: () => object;
  readonly keep?: (answer: Answer, cookie: string) => void;
}

/** Where the requests are sent, and what is known of it. */
export interface RouteWorld {
  readonly clinic: TestClinic;
  readonly mails: readonly IdentityMail[];
  /** Of who asks; empty: nobody has signed in. */
  cookie: string;
  /** What has been made, by what it is called in addresses; and the revision that it is in. */
  readonly ids: Record<string, string>;
  readonly revisions: Record<string, number>;
  /** The answer to a request that is not counted. Throws when it is refused. */
  answerOf(route: string, body?: object, cookie?: string): Promise<Answer>;
}

/** For what is not there. */
export const nobody = uuidv7(clock);

export interface RouteExamples {
  /** Before and behind all routes that are in neither. */
  readonly first: readonly Example[];
  readonly last: readonly Example[];
}

const exercise = { id: 'stand', name: 'Stand', sets: 1, repetitions: 5, durationS: null, timesPerWeek: 7 };

export function createRouteExamples(world: RouteWorld): RouteExamples {
  return {
    first: [...entering(world), ...ofPatients(world), ...ofVisits(world), ...ofOthers(world)],
    last: [...removing(world), ...leaving(world)],
  };
}

/** Keeps the id and the revision of what was made or changed. */
function keeper({ ids, revisions }: RouteWorld) {
  return (name: string, of: (answer: Answer) => Answer = (answer) => answer): NonNullable<Example['keep']> =>
    (answer) => {
      const { id, revision } = of(answer);
      if (id !== undefined) ids[name] = id;
      if (revision !== undefined) revisions[name] = revision;
    };
}

function ofPatients(world: RouteWorld): readonly Example[] {
  const { revisions, answerOf } = world;
  const kept = keeper(world);
  const revised = (name: string) => () => ({ revision: revisions[name] });
  return [
    {
      route: 'POST /v1/patients',
      // The first one of an installation makes the master key.
      prepare: () => answerOf('POST /v1/patients', { code: 'P-0' }),
      body: () => ({ code: 'P-1', birthYear: 1960, consents: ['care', 'recording'] }),
      keep: kept('patient'),
    },
    { route: 'PATCH /v1/patients/{id}', body: () => ({ ...revised('patient')(), massKg: 71 }) },
    {
      route: 'PATCH /v1/patients/{id}/identifiers',
      // The first one of an organisation makes the key of its index.
      prepare: () => answerOf('PATCH /v1/patients/{id}/identifiers', { name: 'Ada' }),
      body: () => ({ name: 'Ada Example', recordNumber: 'R-1' }),
    },
    { route: 'POST /v1/patients/{id}/consents', body: () => ({ purpose: 'teaching', decision: 'granted' }) },
    { route: 'POST /v1/patients/{id}/notes', body: () => ({ text: 'walks well' }), keep: kept('note') },
    { route: 'PUT /v1/patients/{id}/notes/{note}', body: revised('note'), keep: kept('note') },
    { route: 'POST /v1/patients/{id}/goals', body: () => ({ text: 'stairs' }), keep: kept('goal') },
    { route: 'PUT /v1/patients/{id}/goals/{goal}', body: revised('goal'), keep: kept('goal') },
    {
      route: 'POST /v1/patients/{id}/history',
      body: () => ({ kind: 'fall', text: 'at home' }),
      keep: kept('entry'),
    },
    { route: 'PUT /v1/patients/{id}/history/{entry}', body: revised('entry'), keep: kept('entry') },
    {
      route: 'POST /v1/patients/{id}/programmes',
      body: () => ({ title: 'Balance', exercises: [exercise], beginsOn: '2026-01-01' }),
      keep: kept('programme'),
    },
    {
      route: 'PUT /v1/patients/{id}/programmes/{programme}',
      body: () => ({
        title: 'Balance',
        exercises: [exercise],
        beginsOn: '2026-01-01',
        ...revised('programme')(),
      }),
      keep: kept('programme'),
    },
    {
      route: 'PUT /v1/patients/{id}/programmes/{programme}/entries/{day}/{exercise}',
      body: () => ({ times: 2 }),
    },
    { route: 'POST /v1/search', body: () => ({ text: 'P-1' }) },
    { route: 'GET /v1/patients', query: () => 'limit=100' },
    { route: 'GET /v1/patients/{id}/progress', query: () => 'metric=speed&metric=cadence' },
  ];
}

function ofVisits(world: RouteWorld): readonly Example[] {
  const { clinic, ids, revisions, answerOf } = world;
  const kept = keeper(world);
  const revised = (name: string) => () => ({ revision: revisions[name] });
  const inQuery = (name: string) => () => `revision=${revisions[name]}`;
  const visited: Example['keep'] = ({ visit, ...own }) =>
    void (revisions['session'] = (visit ?? own).revision!);
  const planned = ({ session, revision }: Answer): Answer => ({ ...session, revision: revision! });
  /** Addresses name `session`. */
  const swap = (other: string): void => {
    [ids['session'], ids[other]] = [ids[other] ?? nobody, ids['session'] ?? nobody];
  };
  return [
    {
      route: 'PUT /v1/sessions/{id}/patient',
      prepare: async () => {
        revisions['session'] = (await answerOf('GET /v1/sessions/{id}/visit')).revision!;
      },
      body: () => ({ patientId: ids['patient'], ...revised('session')() }),
      keep: visited,
    },
    {
      route: 'GET /v1/sessions/{id}/summary',
      prepare: () =>
        insertSummary(clinic.owner, {
          orgId: clinic.tenant.orgId,
          patientId: ids['patient']!,
          session: ids['session']!,
          startedAt: '2026-01-01T00:00:00Z',
          figures: [],
        }),
    },
    {
      route: 'POST /v1/sessions/{id}/annotations',
      body: () => ({ kind: 'event', fromUs: 1, toUs: null, text: 'turn' }),
      keep: kept('annotation'),
    },
    {
      route: 'PUT /v1/sessions/{id}/annotations/{annotation}',
      body: () => ({ kind: 'event', fromUs: 2, toUs: null, text: 'turn', ...revised('annotation')() }),
      keep: kept('annotation'),
    },
    {
      route: 'PUT /v1/sessions/{id}/body-model',
      body: () => ({ bodyModel: { heightM: 1.7, placements: [] } }),
    },
    { route: 'PUT /v1/sessions/{id}/hold', body: () => ({ reason: 'asked for' }) },
    { route: 'DELETE /v1/sessions/{id}/hold' },
    {
      route: 'POST /v1/protocols',
      body: () => ({ name: 'Walk', description: '', tasks: [], segments: [] }),
      keep: kept('protocol'),
    },
    { route: 'PUT /v1/protocols/{id}', body: revised('protocol'), keep: kept('protocol') },
    {
      route: 'POST /v1/sessions',
      body: () => ({
        patientId: ids['patient'],
        protocolId: ids['protocol'],
        plannedFor: null,
        label: 'visit',
      }),
      keep: kept('planned', planned),
    },
    {
      route: 'PUT /v1/sessions/{id}/plan',
      prepare: async () => {
        swap('planned');
        revisions['session'] = revisions['planned']!;
      },
      body: () => ({
        patientId: ids['patient'],
        protocolId: null,
        plannedFor: null,
        label: 'v',
        ...revised('session')(),
      }),
      keep: visited,
    },
    {
      route: 'PUT /v1/sessions/{id}/placements',
      body: () => ({
        ...revised('session')(),
        placements: [{ deviceId: ids['device'], segment: 'left-foot' }],
      }),
      keep: visited,
    },
    { route: 'POST /v1/sessions/{id}/start', keep: visited },
    {
      route: 'DELETE /v1/sessions/{id}/plan',
      prepare: async () => {
        swap('planned');
        const body = { patientId: null, protocolId: null, plannedFor: null, label: 'another' };
        kept('other', planned)(await answerOf('POST /v1/sessions', body), '');
        swap('other');
      },
      query: inQuery('other'),
    },
    {
      route: 'POST /v1/sessions/{id}/end',
      prepare: async () => {
        swap('other');
        swap('live');
      },
      body: () => ({ now: true }),
    },
    {
      route: 'POST /v1/sessions/{id}/seal',
      prepare: async () => {
        swap('live');
        revisions['session'] = (await answerOf('GET /v1/sessions/{id}/visit')).revision!;
      },
      body: revised('session'),
    },
  ];
}

function ofOthers(world: RouteWorld): readonly Example[] {
  const { ids, revisions } = world;
  const kept = keeper(world);
  const revised = (name: string) => () => ({ revision: revisions[name] });
  return [
    {
      route: 'POST /v1/jobs',
      body: () => ({ kind: 'session-summary', input: { session: ids['session'] } }),
      keep: kept('job'),
    },
    { route: 'POST /v1/jobs/{id}/cancel' },
    { route: 'POST /v1/jobs/{id}/retry' },
    { route: 'POST /v1/access-keys', body: () => ({ name: 'key', scope: 'read' }), keep: kept('access-key') },
    { route: 'POST /v1/devices', body: () => ({ name: 'sensor' }), keep: kept('spare') },
    {
      route: 'POST /v1/tickets/limited',
      body: () => ({
        subject: 'somebody',
        channels: [{ channels: 'notifications', operations: ['subscribe'] }],
      }),
    },
    { route: 'POST /v1/revocations', body: () => ({ subject: 'nobody' }) },
    {
      route: 'POST /v1/channels/device/{device}/commands/messages',
      body: () => ({ event: 'request', data: { command: 'cue' } }),
    },
    { route: 'PUT /v1/retention', body: () => ({ defaultClass: 0 }) },
    {
      route: 'POST /v1/webhooks',
      body: () => ({ url: 'https://hooks.example.org/kymo' }),
      keep: kept('webhook', ({ endpoint, ...own }) => endpoint ?? own),
    },
    {
      route: 'PATCH /v1/webhooks/{id}',
      body: () => ({ description: 'new', ...revised('webhook')() }),
      keep: kept('webhook'),
    },
    { route: 'POST /v1/webhooks/{id}/test' },
    {
      route: 'GET /v1/webhooks/{id}/deliveries',
      keep: ({ deliveries }) => void (ids['delivery'] = deliveries![0]?.id ?? nobody),
    },
  ];
}

function removing(world: RouteWorld): readonly Example[] {
  const { ids, revisions } = world;
  const inQuery = (name: string) => () => `revision=${revisions[name]}`;
  return [
    { route: 'DELETE /v1/patients/{id}/programmes/{programme}/entries/{day}/{exercise}' },
    { route: 'DELETE /v1/patients/{id}/programmes/{programme}', query: inQuery('programme') },
    { route: 'DELETE /v1/patients/{id}/history/{entry}', query: inQuery('entry') },
    { route: 'DELETE /v1/patients/{id}/goals/{goal}', query: inQuery('goal') },
    { route: 'DELETE /v1/patients/{id}/notes/{note}', query: inQuery('note') },
    {
      route: 'DELETE /v1/sessions/{id}/annotations/{annotation}',
      query: () => `${inQuery('annotation')()}&reason=budget`,
    },
    { route: 'DELETE /v1/protocols/{id}' },
    { route: 'DELETE /v1/webhooks/{id}' },
    { route: 'DELETE /v1/access-keys/{id}' },
    { route: 'DELETE /v1/devices/{id}', prepare: async () => void (ids['device'] = ids['spare']!) },
    { route: 'DELETE /v1/streams/{id}' },
    { route: 'DELETE /v1/sessions/{id}' },
  ];
}
