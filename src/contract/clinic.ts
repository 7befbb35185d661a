/**
 * Owns the records of a clinic as the REST API shows them: patients, who they are, consent, progress and search
 * (contract/care.ts has what is written down while caring). A patient is a code everywhere; what names a person is in
 * `PatientIdentifiers` alone, and reading that is a request of its own. `revision` says what a change was made from: an
 * older one is answered `outdated`.
 */

import { Type, type Static } from 'typebox';

import { Id } from '#contract/rest.ts';

export const Nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);
export const Instant = Type.String({ format: 'date-time' });
export const Day = Type.String({ pattern: '^\\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\\d|3[01])$' });
export const Revision = Type.Integer({ minimum: 1, maximum: 2_147_483_647 });
export const Next = Nullable(Type.String({ description: 'cursor of the next page; null at the end' }));
/** Who wrote it: `user:ID` of a person, `access:ID` of a key; the server's own demo is empty. */
export const Author = Type.String();

export const clinicLimits = {
  /** A code is written on labels by hand. */
  codeCharacters: 32,
  diagnosisCharacters: 200,
  searchCharacters: 120,
  /** Of each kind of finding. */
  searchFindings: 20,
  /** Figures of a session are about 60 (motion/metric-catalogue.ts). */
  metrics: 16,
  progressSessions: 200,
} as const;

export const consentPurposes = ['care', 'recording', 'research', 'teaching', 'sharing'] as const;
export const ConsentPurpose = Type.Enum([...consentPurposes]);
export type ConsentPurpose = Static<typeof ConsentPurpose>;

const Sex = Type.Enum(['female', 'male', 'other']);
const BodySide = Type.Enum(['left', 'right', 'both', 'none']);
export const FigureSide = Type.Enum(['left', 'right']);

const Code = Type.String({
  pattern: `^[A-Za-z0-9][A-Za-z0-9._-]{0,${clinicLimits.codeCharacters - 1}}$`,
  description: 'what people say and write instead of a name; unique in the organisation, whatever the case',
});

/** What is measured of a patient and may be changed; none of it names anybody. */
const measures = {
  birthYear: Nullable(Type.Integer({ minimum: 1880, maximum: 2200 })),
  sex: Nullable(Sex),
  heightM: Nullable(Type.Number({ minimum: 0.3, maximum: 2.6 })),
  massKg: Nullable(Type.Number({ minimum: 1, maximum: 400 })),
  affectedSide: Nullable(BodySide),
  diagnosis: Type.String({
    maxLength: clinicLimits.diagnosisCharacters,
    description: 'a short clinical label, never a name',
  }),
};

export const Patient = Type.Object(
  {
    id: Id,
    code: Code,
    ...measures,
    /** Purposes that stand granted. */
    consents: Type.Array(ConsentPurpose),
    revision: Revision,
    createdAt: Instant,
    updatedAt: Instant,
    archivedAt: Nullable(Instant),
  },
  { $id: 'Patient' },
);
export type Patient = Static<typeof Patient>;

export const PatientSummary = Type.Object(
  {
    id: Id,
    code: Code,
    birthYear: measures.birthYear,
    sex: measures.sex,
    affectedSide: measures.affectedSide,
    diagnosis: Type.String(),
    consents: Type.Array(ConsentPurpose),
    createdAt: Instant,
    archivedAt: Nullable(Instant),
    /** When the newest recording began; null: none yet. */
    lastSessionAt: Nullable(Instant),
  },
  { $id: 'PatientSummary' },
);
export type PatientSummary = Static<typeof PatientSummary>;

export const PatientPage = Type.Object(
  { patients: Type.Array(PatientSummary), next: Next },
  { $id: 'PatientPage' },
);
export type PatientPage = Static<typeof PatientPage>;

/** Who the patient is. What is absent is not known. */
const identifierTexts = {
  name: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
  birthDate: Type.Optional(Day),
  recordNumber: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
  phone: Type.Optional(Type.String({ minLength: 1, maxLength: 40 })),
  email: Type.Optional(Type.String({ minLength: 3, maxLength: 254 })),
  address: Type.Optional(Type.String({ minLength: 1, maxLength: 500 })),
};
export const PatientIdentifiers = Type.Object(identifierTexts, {
  additionalProperties: false,
  $id: 'PatientIdentifiers',
});
export type PatientIdentifiers = Static<typeof PatientIdentifiers>;

/** What is absent stays as it is; null removes. */
export const IdentifiersRequest = Type.Object(
  {
    name: Type.Optional(Nullable(Type.String({ minLength: 1, maxLength: 200 }))),
    birthDate: Type.Optional(Nullable(Day)),
    recordNumber: Type.Optional(Nullable(Type.String({ minLength: 1, maxLength: 64 }))),
    phone: Type.Optional(Nullable(Type.String({ minLength: 1, maxLength: 40 }))),
    email: Type.Optional(Nullable(Type.String({ minLength: 3, maxLength: 254 }))),
    address: Type.Optional(Nullable(Type.String({ minLength: 1, maxLength: 500 }))),
  },
  { additionalProperties: false, minProperties: 1, $id: 'IdentifiersRequest' },
);
export type IdentifiersRequest = Static<typeof IdentifiersRequest>;

export const PatientRequest = Type.Object(
  {
    /** Made by whoever asks, so that asking again makes no second patient. */
    id: Type.Optional(Id),
    /** Left out: the server makes one. */
    code: Type.Optional(Code),
    birthYear: Type.Optional(measures.birthYear),
    sex: Type.Optional(measures.sex),
    heightM: Type.Optional(measures.heightM),
    massKg: Type.Optional(measures.massKg),
    affectedSide: Type.Optional(measures.affectedSide),
    diagnosis: Type.Optional(measures.diagnosis),
    identifiers: Type.Optional(PatientIdentifiers),
    /** Purposes that are granted now. */
    consents: Type.Optional(
      Type.Array(ConsentPurpose, { maxItems: consentPurposes.length, uniqueItems: true }),
    ),
  },
  { additionalProperties: false, $id: 'PatientRequest' },
);
export type PatientRequest = Static<typeof PatientRequest>;

/** What is absent stays as it is. */
export const PatientChange = Type.Object(
  {
    revision: Revision,
    code: Type.Optional(Code),
    birthYear: Type.Optional(measures.birthYear),
    sex: Type.Optional(measures.sex),
    heightM: Type.Optional(measures.heightM),
    massKg: Type.Optional(measures.massKg),
    affectedSide: Type.Optional(measures.affectedSide),
    diagnosis: Type.Optional(measures.diagnosis),
    archived: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false, $id: 'PatientChange' },
);
export type PatientChange = Static<typeof PatientChange>;

/** One figure of a session (motion/metric-catalogue.ts has label and unit). */
export const Figure = Type.Object(
  {
    metric: Type.String(),
    side: Nullable(FigureSide),
    value: Nullable(Type.Number()),
    sd: Nullable(Type.Number()),
    n: Type.Integer({ minimum: 0 }),
    /** The known error with these sensors, in the metric's unit; absent or null: never measured. */
    error: Type.Optional(Nullable(Type.Number())),
  },
  { $id: 'Figure' },
);
export type Figure = Static<typeof Figure>;

/** What a patient page shows of figures: how somebody walks at a glance. */
export const headlineMetrics = ['speed', 'cadence', 'stride-length', 'stance-share'] as const;

export const PatientSession = Type.Object(
  {
    id: Id,
    label: Type.String(),
    /** `live`: it has begun and not ended. */
    state: Type.Enum(['planned', 'live', 'ended', 'sealed']),
    plannedFor: Nullable(Instant),
    startedAt: Instant,
    endedAt: Nullable(Instant),
    /** Null until it was analysed. */
    figures: Nullable(Type.Array(Figure)),
  },
  { $id: 'PatientSession' },
);
export type PatientSession = Static<typeof PatientSession>;

const Headline = Type.Object({ session: Id, startedAt: Instant, figures: Type.Array(Figure) });

/** All that the first look at a patient needs, in one answer. */
export const PatientOverview = Type.Object(
  {
    patient: Patient,
    /** Newest first, at most ten; `GET /v1/patients/{id}/progress` has the figures of all. */
    sessions: Type.Array(PatientSession),
    /** Recordings of this patient, counted up to 1000. */
    sessionCount: Type.Integer({ minimum: 0, maximum: 1000 }),
    /** The first and the newest analysed session, with `headlineMetrics`. */
    progress: Type.Object({ first: Nullable(Headline), latest: Nullable(Headline) }),
  },
  { $id: 'PatientOverview' },
);
export type PatientOverview = Static<typeof PatientOverview>;

export const ProgressPage = Type.Object(
  {
    /** Newest first. */
    sessions: Type.Array(
      Type.Object({
        session: Id,
        startedAt: Instant,
        durationS: Type.Number(),
        algorithm: Type.String(),
        algorithmVersion: Type.String(),
        figures: Type.Array(Figure),
      }),
    ),
    next: Next,
  },
  { $id: 'ProgressPage' },
);
export type ProgressPage = Static<typeof ProgressPage>;

export const Consent = Type.Object(
  {
    id: Id,
    purpose: ConsentPurpose,
    decision: Type.Enum(['granted', 'withdrawn']),
    decidedAt: Instant,
    reference: Type.String(),
    recordedAt: Instant,
    recordedBy: Author,
  },
  { $id: 'Consent' },
);
export type Consent = Static<typeof Consent>;

export const ConsentRecord = Type.Object(
  {
    granted: Type.Array(ConsentPurpose),
    /** Every decision, newest first; at most 500. */
    history: Type.Array(Consent),
  },
  { $id: 'ConsentRecord' },
);
export type ConsentRecord = Static<typeof ConsentRecord>;

export const ConsentRequest = Type.Object(
  {
    purpose: ConsentPurpose,
    decision: Type.Enum(['granted', 'withdrawn']),
    /** Now where left out; never in the future. */
    decidedAt: Type.Optional(Instant),
    reference: Type.Optional(
      Type.String({ maxLength: 200, description: 'such as the number of the signed form; never a name' }),
    ),
  },
  { additionalProperties: false, $id: 'ConsentRequest' },
);
export type ConsentRequest = Static<typeof ConsentRequest>;

/** At most 20 of each kind. */
export const SearchFindings = Type.Object(
  {
    /** `by`: the code begins with the text, or an identifier is the text. */
    patients: Type.Array(
      Type.Object({
        id: Id,
        code: Code,
        diagnosis: Type.String(),
        birthYear: measures.birthYear,
        archivedAt: Nullable(Instant),
        by: Type.Enum(['code', 'name', 'birthDate', 'recordNumber', 'phone', 'email']),
      }),
    ),
    /** Their label begins with the text. */
    sessions: Type.Array(
      Type.Object({ id: Id, label: Type.String(), startedAt: Instant, patient: Nullable(Id) }),
    ),
    /** They have every word of the text. `text`: its beginning. */
    notes: Type.Array(
      Type.Object({ id: Id, patient: Id, code: Code, text: Type.String(), updatedAt: Instant }),
    ),
  },
  { $id: 'SearchFindings' },
);
export type SearchFindings = Static<typeof SearchFindings>;
