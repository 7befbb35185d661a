/**
 * Owns what is written down while somebody is cared for, as the REST API shows it: medical history, notes, goals, and
 * programmes of exercises with what was done of them. `revision` says what a change was made from: an older one is answered
 * `outdated`.
 */

import { Type, type Static } from 'typebox';

import { Author, Day, FigureSide, Instant, Next, Nullable, Revision } from '#contract/clinic.ts';
import { Id } from '#contract/rest.ts';

export const careLimits = {
  /** A record of one visit; in any script it fits a body of 64 KiB. */
  noteCharacters: 20_000,
  exercises: 24,
} as const;

const HistoryKind = Type.Enum(['diagnosis', 'surgery', 'injury', 'medication', 'fall', 'aid', 'other']);
const HistoryText = Type.String({ minLength: 1, maxLength: 2000 });
const authored = {
  revision: Revision,
  createdAt: Instant,
  createdBy: Author,
  updatedAt: Instant,
  updatedBy: Author,
};

export const HistoryEntry = Type.Object(
  {
    id: Id,
    kind: HistoryKind,
    text: HistoryText,
    begunOn: Nullable(Day),
    endedOn: Nullable(Day),
    ...authored,
  },
  { $id: 'HistoryEntry' },
);
export type HistoryEntry = Static<typeof HistoryEntry>;
export const HistoryPage = Type.Object(
  { entries: Type.Array(HistoryEntry), next: Next },
  { $id: 'HistoryPage' },
);
export type HistoryPage = Static<typeof HistoryPage>;
/** A whole entry. `revision`: of the one that it replaces; a new one has none. */
export const HistoryRequest = Type.Object(
  {
    kind: HistoryKind,
    text: HistoryText,
    begunOn: Type.Optional(Nullable(Day)),
    endedOn: Type.Optional(Nullable(Day)),
    revision: Type.Optional(Revision),
  },
  { additionalProperties: false, $id: 'HistoryRequest' },
);
export type HistoryRequest = Static<typeof HistoryRequest>;

export const Note = Type.Object(
  {
    id: Id,
    session: Nullable(Id),
    text: Type.String({ description: 'empty when it was withdrawn' }),
    /** Whether the patient’s own account reads it. */
    shared: Type.Boolean(),
    withdrawnAt: Nullable(Instant),
    ...authored,
  },
  { $id: 'Note' },
);
export type Note = Static<typeof Note>;
export const NotePage = Type.Object({ notes: Type.Array(Note), next: Next }, { $id: 'NotePage' });
export type NotePage = Static<typeof NotePage>;
export const NoteRevisions = Type.Object(
  {
    /** Newest first; at most 200. */
    revisions: Type.Array(
      Type.Object({
        revision: Revision,
        text: Type.String(),
        shared: Type.Boolean(),
        withdrawn: Type.Boolean(),
        writtenAt: Instant,
        writtenBy: Author,
      }),
    ),
  },
  { $id: 'NoteRevisions' },
);
export type NoteRevisions = Static<typeof NoteRevisions>;
/** `revision`: of the text that this one replaces; a new note has none. */
export const NoteRequest = Type.Object(
  {
    text: Type.String({ minLength: 1, maxLength: careLimits.noteCharacters }),
    shared: Type.Optional(Type.Boolean()),
    /** The session that it is about; only of a new note. */
    session: Type.Optional(Id),
    revision: Type.Optional(Revision),
  },
  { additionalProperties: false, $id: 'NoteRequest' },
);
export type NoteRequest = Static<typeof NoteRequest>;

const goalTarget = Type.Object({
  metric: Type.String({ minLength: 1, maxLength: 64, pattern: '^[a-z0-9-]+$' }),
  side: Nullable(FigureSide),
  direction: Type.Enum(['at-least', 'at-most']),
  value: Type.Number({ minimum: -1e9, maximum: 1e9 }),
});
const GoalState = Type.Enum(['open', 'reached', 'dropped']);
const GoalText = Type.String({ minLength: 1, maxLength: 500 });
export const Goal = Type.Object(
  {
    id: Id,
    text: GoalText,
    target: Nullable(goalTarget),
    dueOn: Nullable(Day),
    state: GoalState,
    /** The target's figure in the newest analysed session; null: no target, or not measured yet. */
    current: Nullable(Type.Object({ value: Type.Number(), startedAt: Instant })),
    ...authored,
  },
  { $id: 'Goal' },
);
export type Goal = Static<typeof Goal>;
export const GoalPage = Type.Object({ goals: Type.Array(Goal), next: Next }, { $id: 'GoalPage' });
export type GoalPage = Static<typeof GoalPage>;
export const GoalRequest = Type.Object(
  {
    text: GoalText,
    target: Type.Optional(Nullable(goalTarget)),
    dueOn: Type.Optional(Nullable(Day)),
    state: Type.Optional(GoalState),
    revision: Type.Optional(Revision),
  },
  { additionalProperties: false, $id: 'GoalRequest' },
);
export type GoalRequest = Static<typeof GoalRequest>;

export const Exercise = Type.Object(
  {
    id: Type.String({ pattern: '^[a-z0-9-]{1,32}$', description: 'unique in the programme' }),
    name: Type.String({ minLength: 1, maxLength: 120 }),
    sets: Nullable(Type.Integer({ minimum: 1, maximum: 50 })),
    repetitions: Nullable(Type.Integer({ minimum: 1, maximum: 1000 })),
    durationS: Nullable(Type.Integer({ minimum: 1, maximum: 86_400 })),
    timesPerWeek: Type.Integer({ minimum: 1, maximum: 70 }),
  },
  { additionalProperties: false, $id: 'Exercise' },
);
export type Exercise = Static<typeof Exercise>;
const ProgrammeState = Type.Enum(['active', 'paused', 'ended']);
const programmeTexts = {
  title: Type.String({ minLength: 1, maxLength: 120 }),
  instructions: Type.String({ maxLength: 4000 }),
  exercises: Type.Array(Exercise, { minItems: 1, maxItems: careLimits.exercises }),
};
export const Programme = Type.Object(
  {
    id: Id,
    ...programmeTexts,
    beginsOn: Day,
    endsOn: Nullable(Day),
    state: ProgrammeState,
    /** From its first day to today or its last: times done of times asked for, each exercise counted up to what was asked. */
    adherence: Type.Object({
      asked: Type.Integer({ minimum: 0 }),
      done: Type.Integer({ minimum: 0 }),
      share: Nullable(Type.Number({ minimum: 0, maximum: 1 })),
      lastDoneOn: Nullable(Day),
    }),
    ...authored,
  },
  { $id: 'Programme' },
);
export type Programme = Static<typeof Programme>;
export const ProgrammePage = Type.Object(
  { programmes: Type.Array(Programme), next: Next },
  { $id: 'ProgrammePage' },
);
export type ProgrammePage = Static<typeof ProgrammePage>;
export const ProgrammeRequest = Type.Object(
  {
    title: programmeTexts.title,
    instructions: Type.Optional(programmeTexts.instructions),
    exercises: programmeTexts.exercises,
    beginsOn: Day,
    endsOn: Type.Optional(Nullable(Day)),
    state: Type.Optional(ProgrammeState),
    revision: Type.Optional(Revision),
  },
  { additionalProperties: false, $id: 'ProgrammeRequest' },
);
export type ProgrammeRequest = Static<typeof ProgrammeRequest>;

export const ProgrammeEntry = Type.Object(
  {
    day: Day,
    exercise: Type.String(),
    times: Type.Integer({ minimum: 0, maximum: 50 }),
    pain: Nullable(Type.Integer({ minimum: 0, maximum: 10 })),
    effort: Nullable(Type.Integer({ minimum: 0, maximum: 10 })),
    comment: Type.String(),
    recordedAt: Instant,
    recordedBy: Author,
  },
  { $id: 'ProgrammeEntry' },
);
export type ProgrammeEntry = Static<typeof ProgrammeEntry>;
export const EntryPage = Type.Object(
  { entries: Type.Array(ProgrammeEntry), next: Next },
  { $id: 'EntryPage' },
);
export type EntryPage = Static<typeof EntryPage>;
export const EntryRequest = Type.Object(
  {
    times: Type.Integer({ minimum: 0, maximum: 50 }),
    pain: Type.Optional(Nullable(Type.Integer({ minimum: 0, maximum: 10 }))),
    effort: Type.Optional(Nullable(Type.Integer({ minimum: 0, maximum: 10 }))),
    comment: Type.Optional(Type.String({ maxLength: 500 })),
  },
  { additionalProperties: false, $id: 'EntryRequest' },
);
export type EntryRequest = Static<typeof EntryRequest>;
