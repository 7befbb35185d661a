/**
 * Owns what the report of a session says, apart from how it looks: everything a reader needs to judge the figures is in it,
 * and nothing that names a person. Units are those of the metric catalogue, angles are in degrees, times ISO 8601 in UTC. A
 * value that is not known is null with a reason, never zero. Kept small by whoever builds it: `reportBounds`.
 */

export const reportBounds = {
  /** Past sessions of a trend: two years of a session a fortnight. */
  pastSessions: 52,
  /** Curves: three planes of hip, knee, ankle, pelvis and foot. */
  curves: 15,
  /** Kinds of notice, newest sensors first; more of one kind are counted. */
  notices: 24,
  /** Sensors of a session (contract/motion.ts has as many placements). */
  sensors: 32,
} as const;

export type ReportSide = 'left' | 'right';

export interface ReportFigure {
  readonly value: number | null;
  /** Standard deviation over `count` strides; of a trend half the width of its 95 % confidence interval. Null: none. */
  readonly spread: number | null;
  readonly count: number;
  /** Why there is no value. */
  readonly reason: string | null;
}

export interface ReportRange {
  readonly low: number;
  readonly high: number;
  /** Whom it was measured on, in a few words. */
  readonly population: string;
}

/** A row of a table: a metric of both sides, or of neither. */
export interface ReportRow {
  readonly metric: string;
  readonly label: string;
  readonly unit: string;
  readonly digits: number;
  /** Of the gait table by its group (motion/metric-catalogue.ts). */
  readonly group: string;
  readonly left: ReportFigure | null;
  readonly right: ReportFigure | null;
  /** Of the walk as a whole. */
  readonly both: ReportFigure | null;
  readonly norm: ReportRange | null;
  /** The error that was measured against a reference; null: it never was, with these sensors. */
  readonly error: { readonly value: number; readonly kind: string; readonly source: string } | null;
  readonly hint: string | null;
}

/** 101 values from 0 to 100 % of a stride. */
export type ReportCurve = readonly (number | null)[];

export interface ReportSideCurve {
  readonly mean: ReportCurve;
  /** Standard deviation over the strides. */
  readonly spread: ReportCurve;
  readonly strides: number;
  /** Where in the stride the foot leaves the ground, in percent. */
  readonly footOffPercent: number | null;
  /** Root mean square distance from the mean of the norm (Baker 2009); null without norm or with a hole. */
  readonly score: number | null;
}

export interface ReportAngle {
  readonly name: string;
  readonly label: string;
  readonly left: ReportSideCurve | null;
  readonly right: ReportSideCurve | null;
  /** The right's is the negative of the left's in a symmetric walk: angles of the pelvis. */
  readonly isMirrored: boolean;
  /** Of the left; mean and one standard deviation to both sides. */
  readonly norm: {
    readonly population: string;
    readonly low: ReportCurve;
    readonly high: ReportCurve;
  } | null;
}

export interface ReportTrendPoint {
  readonly session: string;
  readonly at: string;
  readonly value: number;
  readonly spread: number | null;
  readonly isProvisional: boolean;
}

/** A metric over the patient's sessions, oldest first, this one last; of another algorithm's version it says so. */
export interface ReportTrend {
  readonly metric: string;
  readonly label: string;
  readonly unit: string;
  readonly digits: number;
  readonly norm: ReportRange | null;
  readonly error: number | null;
  readonly left: readonly ReportTrendPoint[];
  readonly right: readonly ReportTrendPoint[];
  readonly both: readonly ReportTrendPoint[];
}

export interface ReportSensor {
  readonly segment: string;
  readonly sensor: string;
  readonly rateHz: number;
  readonly storedReadings: number;
  readonly lostReadings: number;
  readonly pendingReadings: number;
  /** Holes in the readings: ranges that were lost or are pending. */
  readonly gaps: number;
  /** In words: how it is known how the sensor sits on its segment. */
  readonly alignment: string;
}

export interface ReportNotice {
  readonly code: string;
  readonly segment: string | null;
  /** Of the first of them. */
  readonly text: string;
  readonly count: number;
  /** Seconds from the beginning of the session to the first. */
  readonly firstS: number;
}

export interface ReportQuality {
  readonly storedReadings: number;
  readonly lostReadings: number;
  readonly pendingReadings: number;
  /** The end of a device's memory is gone; how much came after is not known. */
  readonly tailLost: boolean;
  readonly sensors: readonly ReportSensor[];
  readonly notices: readonly ReportNotice[];
}

export interface ReportPatient {
  readonly code: string;
  readonly ageYears: number | null;
  readonly sex: 'female' | 'male' | 'other' | null;
  readonly heightM: number | null;
  readonly massKg: number | null;
  readonly affectedSide: 'left' | 'right' | 'both' | 'none' | null;
  readonly diagnosis: string;
}

export interface SessionReport {
  readonly madeAt: string;
  /** IANA name; dates of the report are in it. */
  readonly timeZone: string;
  readonly organisation: string;
  /** Null: the session was bound to no patient. */
  readonly patient: ReportPatient | null;
  readonly session: {
    readonly id: string;
    readonly startedAt: string;
    readonly endedAt: string | null;
    readonly durationS: number;
    /** Readings are a computer's. */
    readonly isSynthetic: boolean;
    /** Readings came after it was signed off: figures may differ from those that were signed. */
    readonly isAmended: boolean;
    readonly revision: number;
  };
  /** Why figures may still change; null: they are of all readings. */
  readonly provisional: string | null;
  /** Means over strides by side, and of the walk as a whole. */
  readonly gait: readonly ReportRow[];
  readonly symmetry: readonly ReportRow[];
  readonly variability: readonly ReportRow[];
  readonly angles: readonly ReportAngle[];
  readonly trends: readonly ReportTrend[];
  readonly quality: ReportQuality;
  readonly method: {
    readonly program: string;
    readonly algorithm: string;
    readonly algorithmVersion: string;
    readonly bodyModelRevision: number;
    /** Of the readings that the figures are of: rises with every change (kymo.session_summary.input_revision). */
    readonly inputRevision: number;
    /** Where gait was recognised, in words. */
    readonly sensors: string;
    /** Of the norms: whose they are and under which licence. */
    readonly norms: readonly string[];
  };
}

/** `kymo.session_summary.quality`. */
export interface SummaryQuality {
  readonly storedReadings: number;
  readonly lostReadings: number;
  readonly pendingReadings: number;
  readonly gaps: number;
  readonly tailLost: boolean;
  readonly sensors: number;
  /** Used by the analysis, and nobody has calibrated them. */
  readonly uncalibratedSensors: number;
  /** Why figures may still change; null: they are of all readings. */
  readonly provisional: string | null;
}

/** On every page of every report. */
export const intendedUse = 'Not a medical device. Not for diagnosis or for decisions about treatment.';
