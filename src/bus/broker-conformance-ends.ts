/** Owns what the tests of every broker share: the two ends under test, requests to them, and what a listener heard. */

import type { Broker, PublishRequest } from '#bus/broker.ts';
import type { Publication } from '#protocol/publication.ts';

/** Two ends of one broker; the same object twice where there is one process. */
export interface BrokerUnderTest {
  readonly publisher: Broker;
  readonly listener: Broker;
  /** Lets the time pass by which histories and keys end. */
  passTime(ms: number): Promise<void>;
}

/** Makes an empty broker that no other test sees, whose keys are remembered for `keySeconds`. */
export type CreateBroker = (options: { readonly keySeconds: number }) => Promise<BrokerUnderTest>;

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
export const textOf = (payload: Uint8Array): string => new TextDecoder().decode(payload);
export const textsOf = (publications: readonly Publication[]): string[] =>
  publications.map(({ payload }) => textOf(payload));
export const offsetsOf = (publications: readonly Publication[]): number[] =>
  publications.map(({ offset }) => offset);
export const laterTurn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));
export const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);

const bounds = { messages: 100, seconds: 60 };
export const request = (
  address: string,
  text: string,
  more: Partial<PublishRequest> = {},
): PublishRequest => ({
  address,
  payload: bytes(text),
  history: bounds,
  key: null,
  ...more,
});

export interface Heard {
  readonly publications: Publication[];
  readonly epochs: Set<string>;
  stop(): void;
}

export type Start = (keySeconds?: number) => Promise<BrokerUnderTest>;

/** Listens and returns when publications come. */
export async function hear({ listener }: BrokerUnderTest, address: string): Promise<Heard> {
  const heard: Heard = { publications: [], epochs: new Set(), stop: () => listening.stop() };
  const listening = listener.listen(address, {
    publication(epoch, publication) {
      heard.epochs.add(epoch);
      heard.publications.push({ ...publication, payload: publication.payload.slice() });
    },
    resumed: () => undefined,
  });
  await listening.ready;
  return heard;
}

export async function heardCount(heard: Heard, count: number): Promise<void> {
  while (heard.publications.length < count) await laterTurn();
}
