/** Owns a secret that is shown this once: what it is for, the text, and a button that copies it. */

import { CommandLine } from '#web/page-states.tsx';

export interface SecretOnceProps {
  readonly secret: string;
  /** As in "Copy the key". */
  readonly name: string;
  readonly words: string;
  /** What becomes of it; left out where only its hash is kept. */
  readonly kept?: string;
}

export function SecretOnce({ secret, name, words, kept }: SecretOnceProps) {
  return (
    <div role="status">
      <p>{words}</p>
      <CommandLine text={secret} label={name} />
      <p className="muted small">{kept ?? 'It is shown this once: Kymo keeps only its hash.'}</p>
    </div>
  );
}
