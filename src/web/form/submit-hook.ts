/** Owns the sending of a form: once at a time, and what went wrong at the field that is to blame or below them all. */

import { useState, type SubmitEvent } from 'react';

import { AppError } from '#base/errors.ts';
import { problemSentence } from '#web/page-states.tsx';

export interface Submission {
  readonly isBusy: boolean;
  /** The field that a person has to correct, as the server names it. */
  readonly blamed: string | null;
  /** What went wrong that belongs to no field of the form. */
  readonly general: string | null;
  onSubmit(event: SubmitEvent): void;
  /** Does what submitting does, for a button that stands alone. */
  run(): void;
  /** What is wrong with a field, named as the server does: a JSON pointer into the body. */
  problemOf(field: string): string | null;
  clear(): void;
}

/** `act` throws AppError with `field` for what a person typed; `fields` are those that the form shows. */
export function useSubmit(act: () => Promise<unknown>, fields: readonly string[] = []): Submission {
  const [isBusy, setIsBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const blamed = error instanceof AppError ? fields.find((field) => error.field === field) : undefined;
  const run = (): void => {
    if (isBusy) return;
    setIsBusy(true);
    setError(null);
    act()
      .catch((thrown: unknown) => setError(thrown))
      .finally(() => setIsBusy(false));
  };
  return {
    isBusy,
    blamed: blamed ?? null,
    general: error === null || blamed !== undefined ? null : problemSentence(error),
    onSubmit(event) {
      event.preventDefault();
      run();
    },
    run,
    problemOf: (field) => (field === blamed ? problemSentence(error) : null),
    clear: () => setError(null),
  };
}

/** For a field that a person has to correct; nothing is sent. */
export function wrong(field: string, words: string): AppError {
  return new AppError('invalid-field', words, { field });
}
