/** Owns medical history, goals and programmes of exercises: what each of them is in the database and as JSON (contract/care.ts). */

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import type { GoalRequest, HistoryRequest, ProgrammeRequest } from '#contract/care.ts';
import { authoredFields, jsonDay, jsonObject } from '#clinic/json-sql.ts';
import { refuseNoDays } from '#clinic/days.ts';
import type { ReadCache } from '#clinic/read-cache.ts';
import { createRevisedRecords, type RevisedRecords } from '#clinic/revised-records.ts';
import type { RolePool } from '#store/pools.ts';

export const careBounds = {
  /** A long life with an entry a month. */
  historyEntries: 1_000,
  /** One a week for four years. */
  goals: 200,
  programmes: 200,
  /** A goal's figure is looked for in this many of the newest sessions. */
  goalSessions: 20,
} as const;

interface CareParts {
  readonly app: RolePool;
  readonly clock: Clock;
  readonly cache: ReadCache;
}

export function createHistory(parts: CareParts): RevisedRecords<HistoryRequest> {
  return createRevisedRecords<HistoryRequest>(parts, {
    table: 'patient_history',
    key: 'entries',
    tag: 'history',
    json: jsonObject({
      id: 'r.id',
      kind: 'r.kind',
      text: 'r.text',
      begunOn: jsonDay('r.begun_on'),
      endedOn: jsonDay('r.ended_on'),
      ...authoredFields,
    }),
    columns: [
      { name: 'kind', type: 'text' },
      { name: 'text', type: 'text' },
      { name: 'begun_on', type: 'date' },
      { name: 'ended_on', type: 'date' },
    ],
    values({ kind, text, begunOn = null, endedOn = null }) {
      refuseNoDays({ begunOn, endedOn });
      return [kind, text, begunOn, endedOn];
    },
    maximum: careBounds.historyEntries,
  });
}

// The newest value of the goal's figure; figures of a session are about 60.
const currentJson = `(select ${jsonObject({ value: "(f->>'value')::float8", startedAt: 'kymo.iso(y.started_at)' })}
  from (select y.started_at, y.session_id, y.figures from kymo.session_summary y where y.patient_id = r.patient_id
         order by y.started_at desc, y.session_id desc limit ${careBounds.goalSessions}) y
 cross join lateral jsonb_array_elements(y.figures) f
 where f->>'metric' = r.metric and f->>'side' is not distinct from r.side and f->>'value' is not null
 order by y.started_at desc, y.session_id desc limit 1)`;

export function createGoals(parts: CareParts): RevisedRecords<GoalRequest> {
  return createRevisedRecords<GoalRequest>(parts, {
    table: 'goal',
    key: 'goals',
    tag: 'goals',
    // The newest figures are on the patient's page too.
    alsoOf: ['patient'],
    json: jsonObject({
      id: 'r.id',
      text: 'r.text',
      target: `case when r.metric is not null then ${jsonObject({
        metric: 'r.metric',
        side: 'r.side',
        direction: 'r.direction',
        value: 'r.target',
      })} end`,
      dueOn: jsonDay('r.due_on'),
      state: 'r.state',
      current: currentJson,
      ...authoredFields,
    }),
    columns: [
      { name: 'text', type: 'text' },
      { name: 'metric', type: 'text' },
      { name: 'side', type: 'text' },
      { name: 'direction', type: 'text' },
      { name: 'target', type: 'float8' },
      { name: 'due_on', type: 'date' },
      { name: 'state', type: 'text' },
    ],
    values({ text, target = null, dueOn = null, state = 'open' }) {
      refuseNoDays({ dueOn });
      const { metric = null, side = null, direction = null, value = null } = target ?? {};
      return [text, metric, side, direction, value, dueOn, state];
    },
    maximum: careBounds.goals,
  });
}

// Asked: times a week over the days from the first to today or the last; done: what was entered, each exercise counted up to
// what was asked of it.
const adherenceJson = `(select ${jsonObject({
  asked: 'b.asked',
  done: 'b.done',
  share: 'round(b.done::numeric / nullif(b.asked, 0), 4)',
  lastDoneOn: jsonDay('b.last_day'),
})} from (select coalesce(sum(a.asked), 0)::bigint as asked, coalesce(sum(least(a.done, a.asked)), 0)::bigint as done,
    max(a.last_day) as last_day
  from (select round((x->>'timesPerWeek')::numeric * span.days / 7)::bigint as asked, coalesce(e.done, 0) as done, e.last_day
          from (select greatest(least(coalesce(r.ends_on, 'infinity'), (now() at time zone 'utc')::date) - r.begins_on + 1, 0)
                  as days) span
         cross join jsonb_array_elements(r.exercises) x
          left join (select n.exercise, sum(n.times) as done, max(n.day) filter (where n.times > 0) as last_day
                       from kymo.programme_entry n where n.programme_id = r.id
                        and n.day between r.begins_on and coalesce(r.ends_on, 'infinity') group by n.exercise) e
            on e.exercise = x->>'id') a) b)`;

export function createProgrammes(parts: CareParts): RevisedRecords<ProgrammeRequest> {
  return createRevisedRecords<ProgrammeRequest>(parts, {
    table: 'programme',
    key: 'programmes',
    tag: 'programmes',
    // Adherence is up to today.
    moment: () => new Date(parts.clock.nowUs() / 1000).toISOString().slice(0, 10),
    json: jsonObject({
      id: 'r.id',
      title: 'r.title',
      instructions: 'r.instructions',
      exercises: 'r.exercises',
      beginsOn: jsonDay('r.begins_on'),
      endsOn: jsonDay('r.ends_on'),
      state: 'r.state',
      adherence: adherenceJson,
      ...authoredFields,
    }),
    columns: [
      { name: 'title', type: 'text' },
      { name: 'instructions', type: 'text' },
      { name: 'exercises', type: 'jsonb' },
      { name: 'begins_on', type: 'date' },
      { name: 'ends_on', type: 'date' },
      { name: 'state', type: 'text' },
    ],
    values({ title, instructions = '', exercises, beginsOn, endsOn = null, state = 'active' }) {
      if (new Set(exercises.map(({ id }) => id)).size < exercises.length)
        throw new AppError('invalid-field', 'body /exercises: two have the same id', { field: '/exercises' });
      refuseNoDays({ beginsOn, endsOn });
      return [title, instructions, JSON.stringify(exercises), beginsOn, endsOn, state];
    },
    maximum: careBounds.programmes,
  });
}
