/** Owns AppError, the one class for operational failures. Codes come from protocol/codes.ts and never change. */

export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: string;
  /** True when the same request may succeed later without being changed. */
  readonly temporary: boolean;
  /** The offending field as a JSON pointer, when one is to blame. */
  readonly field: string | undefined;

  constructor(
    code: string,
    message: string,
    options: { temporary?: boolean; field?: string; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.temporary = options.temporary ?? false;
    this.field = options.field;
  }
}

/** The message of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
