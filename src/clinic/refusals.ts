/** Owns what a statement's failure says to whoever asked for it: what is taken, gone or impossible is theirs to mend. */

import { AppError } from '#base/errors.ts';

/** Null for a failure that is not the asker's. SQLSTATEs: PostgreSQL appendix A. */
export function refusalOf(error: unknown): AppError | null {
  const { code, constraint } = error as { readonly code?: unknown; readonly constraint?: unknown };
  switch (code) {
    // unique_violation
    case '23505': {
      const [field, message] = takenFields[String(constraint)] ?? ['/id', 'this id is taken'];
      return new AppError('conflict', message, { field, cause: error });
    }
    // foreign_key_violation: the statement that makes the patient made none (patient-creation.ts); or what this belongs to was
    // erased by another transaction while this one looked at it.
    case '23503':
      if (constraint === 'patient_key_patient_id_fkey')
        return new AppError('erased', 'the patient of this id was erased', { field: '/id', cause: error });
      return new AppError('not-found', 'what this belongs to is no longer there', { cause: error });
    // check_violation: what a schema cannot say, such as an end before its beginning.
    case '23514':
      return new AppError(
        'invalid-field',
        'the fields contradict each other, such as an end before its beginning',
        {
          cause: error,
        },
      );
    default:
      return null;
  }
}

const takenFields: Readonly<Record<string, readonly [field: string, message: string]>> = {
  patient_by_code: ['/code', 'another patient has this code'],
  patient_identifier_by_record: ['/recordNumber', 'another patient has this record number'],
};
