/**
 * Owns the metrics that people read: name, words, unit, digits, how late the live value is, and the error that we measured
 * against a reference, which stands beside the number wherever it is shown.
 */

export interface KnownError {
  /** In the metric's unit: mean absolute error, or standard deviation where `kind` says so. */
  readonly value: number;
  readonly kind: 'mean absolute' | 'standard deviation' | 'root mean square';
  /** On what it was measured, as docs/accuracy.md says it. */
  readonly source: string;
}

export interface Metric {
  readonly name: string;
  readonly label: string;
  readonly unit: string;
  readonly digits: number;
  /** Seconds after the end of what it is about; null where it is not given live. */
  readonly latencyS: number | null;
  /** Null: never measured against a reference, and the page says so. */
  readonly error: KnownError | null;
}
