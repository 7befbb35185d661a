/**
 * Owns secrets that stand in a column of text and have to be read again, such as those that sign webhooks: sealed
 * (secret-box.ts), or in clear as they stood there before they were.
 */

import type { SecretBox } from '#identity/secret-box.ts';

const PREFIX = 'sealed_';

export interface SealedTexts {
  /** 167 characters for 50. */
  seal(text: string, owner: string): Promise<string>;
  /** Throws AppError `internal` when the master key is not there any more or the text was changed. */
  open(kept: string, owner: string): Promise<string>;
  isSealed(kept: string): boolean;
}

export function createSealedTexts(box: SecretBox): SealedTexts {
  return {
    isSealed: (kept) => bytesOfSealedText(kept) !== null,
    seal: async (text, owner) => sealedText(await box.seal(Buffer.from(text, 'utf8'), owner)),
    async open(kept, owner) {
      const sealed = bytesOfSealedText(kept);
      return sealed === null ? kept : (await box.open(sealed, owner)).secret.toString('utf8');
    },
  };
}

export function sealedText(sealed: Buffer): string {
  return PREFIX + sealed.toString('base64url');
}

/** Null: it stands there in clear. */
export function bytesOfSealedText(kept: string): Buffer | null {
  return kept.startsWith(PREFIX) ? Buffer.from(kept.slice(PREFIX.length), 'base64url') : null;
}
