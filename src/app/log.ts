/** Owns the log of the process: JSON lines on standard error (pino). Keys and tickets never get here. */

import pino from 'pino';

import { AppError } from '#base/errors.ts';
import type { Log } from '#base/log.ts';

const levels = ['debug', 'info', 'warn', 'error', 'silent'];

export function createLog(level: string): Log {
  if (!levels.includes(level))
    throw new AppError('invalid-field', `--log-level is "${level}": it takes ${levels.join(', ')}`, {
      field: 'log-level',
    });
  const logger = pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: 2, sync: true }),
  );
  return {
    debug: (message, fields = {}) => logger.debug(fields, message),
    info: (message, fields = {}) => logger.info(fields, message),
    warn: (message, fields = {}) => logger.warn(fields, message),
    error: (message, fields = {}) => logger.error(fields, message),
  };
}
