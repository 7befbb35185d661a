/**
 * Owns a session as a visit: what is to be recorded (protocols), the plan with its patient and who wears which device where,
 * what a person should look at before starting, and annotations on the time line. Changes carry the revision that they were
 * made from; 409 `outdated` when another came first.
 */

import { Type, type Static, type TProperties } from 'typebox';

import { Id, SessionSummary } from '#contract/rest.ts';
import { limits } from '#protocol/limits.ts';

const Nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);
const Instant = Type.String({ format: 'date-time' });
const Revision = Type.Integer({ minimum: 1, maximum: 2_147_483_647 });
const TimeUs = Type.Integer({ minimum: 1 - limits.timeUsExclusive, maximum: limits.timeUsExclusive - 1 });
const strict = <P extends TProperties>(properties: P, $id: string) =>
  Type.Object(properties, { additionalProperties: false, $id });

export const visitLimits = {
  /** An hour of half-minute tasks. */
  tasks: 100,
  /** What a body model holds (contract/motion.ts). */
  placements: 32,
  protocolNameCharacters: 100,
  /** A page of text. */
  textCharacters: 2_000,
  /** A session's `label` on the wire (protocol/messages.ts). */
  labelCharacters: 64,
  /** An annotation a second for more than an hour; a list of all is 1.5 MB. */
  annotations: 5_000,
  /** Why something was changed after it was sealed. */
  reasonCharacters: 500,
} as const;

const Segment = Type.String({ minLength: 1, maxLength: limits.nameCharacters, pattern: '\\S' });

/** Something that the patient is asked to do. */
export const ProtocolTask = Type.Object(
  {
    /** Short and stable: annotations of kind `task` may begin with it. */
    code: Type.String({ pattern: '^[a-z0-9][a-z0-9-]{0,39}$' }),
    name: Type.String({ minLength: 1, maxLength: visitLimits.protocolNameCharacters, pattern: '\\S' }),
    instruction: Type.String({ maxLength: visitLimits.textCharacters }),
    durationS: Nullable(Type.Number({ exclusiveMinimum: 0, maximum: 86_400 })),
  },
  { additionalProperties: false },
);
const ProtocolSegment = Type.Object(
  { segment: Segment, isRequired: Type.Boolean() },
  { additionalProperties: false },
);
const protocolContent = {
  name: Type.String({ minLength: 1, maxLength: visitLimits.protocolNameCharacters, pattern: '\\S' }),
  description: Type.String({ maxLength: visitLimits.textCharacters }),
  tasks: Type.Array(ProtocolTask, { maxItems: visitLimits.tasks }),
  segments: Type.Array(ProtocolSegment, { maxItems: visitLimits.placements }),
};

export const ProtocolRequest = strict(protocolContent, 'ProtocolRequest');
export type ProtocolRequest = Static<typeof ProtocolRequest>;
export const ProtocolChange = strict({ ...protocolContent, revision: Revision }, 'ProtocolChange');
export type ProtocolChange = Static<typeof ProtocolChange>;

/** What to record. Sessions keep the revision that they were planned by. */
export const Protocol = Type.Object(
  {
    id: Id,
    revision: Revision,
    ...protocolContent,
    createdAt: Instant,
    /** Of this revision. */
    madeAt: Instant,
    madeBy: Type.String(),
    archivedAt: Nullable(Instant),
  },
  { $id: 'Protocol' },
);
export type Protocol = Static<typeof Protocol>;

export const ProtocolPage = Type.Object(
  { protocols: Type.Array(Protocol), next: Nullable(Type.String()) },
  { $id: 'ProtocolPage' },
);
export type ProtocolPage = Static<typeof ProtocolPage>;

const plan = {
  patientId: Nullable(Id),
  protocolId: Nullable(Id),
  plannedFor: Nullable(Instant),
  label: Type.String({ maxLength: visitLimits.labelCharacters }),
};

/** A new planned session. */
export const PlanRequest = strict(plan, 'PlanRequest');
export type PlanRequest = Static<typeof PlanRequest>;

/**
 * Plans the session of this id, which a device may have begun to record already: then it stays what it is and gets patient,
 * protocol and label. `revision` is null for a session that was not planned before.
 */
export const PlanChange = strict({ ...plan, revision: Nullable(Revision) }, 'PlanChange');
export type PlanChange = Static<typeof PlanChange>;

/** Whose recording it is. */
export const PatientBinding = strict({ patientId: Nullable(Id), revision: Revision }, 'PatientBinding');
export type PatientBinding = Static<typeof PatientBinding>;

/** All placements of the session: what is not in it is no longer assigned. */
export const PlacementsChange = strict(
  {
    revision: Revision,
    placements: Type.Array(Type.Object({ deviceId: Id, segment: Segment }, { additionalProperties: false }), {
      maxItems: visitLimits.placements,
    }),
  },
  'PlacementsChange',
);
export type PlacementsChange = Static<typeof PlacementsChange>;

export const EndRequest = strict(
  {
    now: Type.Optional(
      Type.Boolean({
        description:
          'true: the recording is over, whatever its devices say; what they still hold comes late. Default: they are ' +
          'asked to stop, and the session ends when all have',
      }),
    ),
  },
  'EndRequest',
);
export const SealRequest = strict({ revision: Revision }, 'SealRequest');

/** Something to look at; nothing was refused because of it. */
export const VisitWarning = Type.Object(
  {
    /**
     * `no-consent`: the patient has not consented to recordings. `other-side`: the device was worn on the other side the last
     * time, or its name says so. `sides-swapped`: a left and a right one have changed places since the last time.
     * `segment-twice`: several devices on one segment. `segment-missing`: the protocol asks for a segment that no device is
     * assigned to. `planned-elsewhere`: the device is assigned to another session that is planned for about the same time.
     * `in-use-now`: it records another session at this moment, and this one is planned for later. `streams-elsewhere`: the device
     * sends another segment than it is assigned to. `patient-archived`: the record of the patient is closed.
     */
    code: Type.Enum([
      'no-consent',
      'other-side',
      'sides-swapped',
      'segment-twice',
      'segment-missing',
      'planned-elsewhere',
      'in-use-now',
      'streams-elsewhere',
      'patient-archived',
    ]),
    /** For people; no names in it. */
    message: Type.String(),
    deviceId: Nullable(Id),
    segment: Nullable(Type.String()),
    /** The other session that it is about. */
    sessionId: Nullable(Id),
  },
  { $id: 'VisitWarning' },
);
export type VisitWarning = Static<typeof VisitWarning>;

export const Placement = Type.Object(
  {
    deviceId: Id,
    deviceName: Type.String(),
    segment: Type.String(),
    assignedAt: Instant,
    assignedBy: Type.String(),
    /** Whether the device has a stream in this session that has not ended. */
    isStreaming: Type.Boolean(),
  },
  { $id: 'Placement' },
);
export type Placement = Static<typeof Placement>;

/** A session as people plan, start, end and sign it off. */
export const Visit = Type.Object(
  {
    session: SessionSummary,
    /** Of patient, protocol, time, label and placements: what a change of them is made from. */
    revision: Revision,
    protocol: Nullable(
      Type.Object({
        id: Id,
        revision: Revision,
        name: Type.String(),
        tasks: Type.Array(ProtocolTask),
        segments: Type.Array(ProtocolSegment),
      }),
    ),
    /** Empty: a device began it, and nobody planned it. */
    createdBy: Type.String(),
    /** Devices were asked to start, or to stop. */
    startAskedAt: Nullable(Instant),
    endAskedAt: Nullable(Instant),
    sealedBy: Nullable(Type.String()),
    placements: Type.Array(Placement),
    warnings: Type.Array(VisitWarning),
  },
  { $id: 'Visit' },
);
export type Visit = Static<typeof Visit>;

/** What was asked of which device. What becomes of a command is told in `device/{device}/commands`. */
const Asked = Type.Array(Type.Object({ deviceId: Id, command: Id }));
export const VisitAsked = Type.Object({ visit: Visit, asked: Asked }, { $id: 'VisitAsked' });
export type VisitAsked = Static<typeof VisitAsked>;

/** Where a device was, session by session, newest first. */
export const DevicePlacementPage = Type.Object(
  {
    placements: Type.Array(
      Type.Object({
        session: Id,
        segment: Type.String(),
        assignedAt: Instant,
        state: Type.Enum(['planned', 'going', 'ended', 'sealed']),
      }),
    ),
    next: Nullable(Type.String()),
  },
  { $id: 'DevicePlacementPage' },
);
export type DevicePlacementPage = Static<typeof DevicePlacementPage>;

/** `task`: a task of the protocol was done. `artefact`: readings that should not be believed. */
const AnnotationKind = Type.Enum(['note', 'task', 'event', 'artefact']);
const annotationContent = {
  kind: AnnotationKind,
  /** Device time in microseconds, as on the time line of the session. */
  fromUs: TimeUs,
  /** Exclusive; null: a point. */
  toUs: Nullable(TimeUs),
  text: Type.String({ maxLength: visitLimits.textCharacters }),
};
const reason = Type.Optional(
  Type.String({
    minLength: 1,
    maxLength: visitLimits.reasonCharacters,
    pattern: '\\S',
    description: 'why; needed when the session is sealed, which then is amended',
  }),
);

export const Annotation = Type.Object(
  {
    id: Id,
    session: Id,
    ...annotationContent,
    /** `user:ID`, `access:ID` or `server:ID`. It and owners may change it. */
    author: Type.String(),
    revision: Revision,
    createdAt: Instant,
    updatedAt: Instant,
  },
  { $id: 'Annotation' },
);
export type Annotation = Static<typeof Annotation>;

/** In the order of time. */
export const AnnotationPage = Type.Object(
  { annotations: Type.Array(Annotation), next: Nullable(Type.String()) },
  { $id: 'AnnotationPage' },
);
export type AnnotationPage = Static<typeof AnnotationPage>;

/** `id`: made by the client, so that asking again makes no second one. */
export const AnnotationRequest = strict(
  { ...annotationContent, id: Type.Optional(Id), reason },
  'AnnotationRequest',
);
export type AnnotationRequest = Static<typeof AnnotationRequest>;
export const AnnotationChange = strict(
  { ...annotationContent, revision: Revision, reason },
  'AnnotationChange',
);
export type AnnotationChange = Static<typeof AnnotationChange>;
export const AnnotationRemoval = strict({ revision: Revision, reason }, 'AnnotationRemoval');
export type AnnotationRemoval = Static<typeof AnnotationRemoval>;

/** Everything that an annotation ever said, oldest first. */
export const AnnotationHistory = Type.Object(
  {
    revisions: Type.Array(
      Type.Object({
        revision: Revision,
        ...annotationContent,
        isRemoved: Type.Boolean(),
        reason: Nullable(Type.String()),
        madeAt: Instant,
        madeBy: Type.String(),
      }),
    ),
  },
  { $id: 'AnnotationHistory' },
);
export type AnnotationHistory = Static<typeof AnnotationHistory>;

/** `session/{session}/annotations`, class event and durable: told in the transaction that changes them. */
export const annotationEvents = {
  placed: Annotation,
  changed: Annotation,
  removed: Type.Object({ id: Id, revision: Revision }),
};

/** The figures of an ended session; which there are is said by the metric catalogue. */
export const SessionFigures = Type.Object(
  {
    session: Id,
    patientId: Nullable(Id),
    startedAt: Instant,
    durationS: Type.Number(),
    figures: Type.Array(
      Type.Object({
        metric: Type.String(),
        side: Nullable(Type.Enum(['left', 'right'])),
        value: Nullable(Type.Number()),
        sd: Nullable(Type.Number()),
        n: Type.Integer({ minimum: 0 }),
      }),
    ),
    /** What to know before believing a figure. */
    quality: Type.Unknown(),
    algorithm: Type.String(),
    algorithmVersion: Type.String(),
    inputRevision: Type.Integer(),
    computedAt: Instant,
  },
  { $id: 'SessionFigures' },
);
