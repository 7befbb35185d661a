/** Owns how notifications read: what happened, in words, and which session they lead to. */

import type { ChannelMessage } from '#sdk/live-subscribers.ts';

/** The messages of `notifications` (docs/commands-and-chat.md); later ones may be of events that this page does not know. */
export type NewsMessage = ChannelMessage<
  string,
  {
    readonly session?: string;
    readonly device?: string;
    readonly command?: string;
    readonly message?: string;
  }
>;

export interface NewsItem {
  readonly offset: number;
  readonly timeUs: number;
  readonly words: string;
  readonly session: string | null;
  readonly needsAttention: boolean;
}

const end = (id: string | undefined): string => id?.slice(-8) ?? '';

/** Newest first. */
export function newsOf(messages: readonly NewsMessage[]): readonly NewsItem[] {
  return messages
    .flatMap(({ event, data, offset, timeUs }) => {
      const words = wordsOf(event, data);
      if (words === null || offset === null) return [];
      const needsAttention = event === 'device-lost' || event.startsWith('command-');
      return [{ offset, timeUs, words, session: data.session ?? null, needsAttention }];
    })
    .toReversed();
}

function wordsOf(event: string, { session, device, command, message }: NewsMessage['data']): string | null {
  switch (event) {
    case 'session-started':
      return `Session ${end(session)} began`;
    case 'session-ended':
      return `Session ${end(session)} ended`;
    case 'device-lost':
      return `Device ${end(device)} lost its connection; what it measures waits on it`;
    case 'command-refused':
      return `Device ${end(device)} did not do ${command}${message === undefined ? '' : `: ${message}`}`;
    case 'command-expired':
      return `Device ${end(device)} gave no answer to ${command}`;
    default:
      return null;
  }
}
