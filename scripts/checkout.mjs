/**
 * Owns where things are in this checkout: its root, the directory for fetched tools, and what package.json says.
 * Everything under `.tools/` and `dist/` can be deleted at any time; the next command makes it again.
 */

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

/** Fetched and generated things that are not part of the web page. Ignored by git. */
export const toolsDirectory = path.join(root, '.tools');

export function inCheckout(...parts) {
  return path.join(root, ...parts);
}

/** The parsed file, or undefined when it does not exist or is not JSON (a half-written file counts as absent). */
export function readJson(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}
